"""The gate of a region, joined to its store, its models and its log."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.inside import InsideCalls, methods
from bastide.app.store import Store
from bastide.db import durable
from bastide.environments.catalogue import Environments
from bastide.jobs import seccomp
from bastide.jobs.cage import Walls
from bastide.jobs.host import Host
from bastide.kernel import approvals as kernel_approvals
from bastide.kernel.approvals import OPERATOR, Kind
from bastide.kernel.labels.scheme import PACKAGED, SchemeError, read, text_of
from bastide.kernel.statements import Verdict
from bastide.models.catalogue import Models
from bastide.operators.transfer import TransferRoom
from bastide.policy.approvals import ApprovalBook
from bastide.settings import SettingsError, TransferSettings, lines_as_ruled
from bastide.store.carrying import Carrying
from bastide.transfer.diode.listening import Listener, bound
from bastide.transfer.filters import words
from bastide.transfer.filters.model import SchemeSource
from bastide.transfer.gate import Site, Surroundings, open_gate
from bastide.transfer.line import Scanner
from bastide.transfer.ports import Approvals, Consent, Deed, NotApproved
from bastide.transfer.setting_up import SettingUp
from bastide.transfer.shelving import Shelving
from bastide.wire.model import Catalogue
from bastide.wire.validate import Validators

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What the gate reaches in its region."""

    identity: Identity
    store: Store
    models: Models
    environments: Environments
    catalogue: Catalogue
    approvals: Approvals
    machine: Host


@dataclass(frozen=True, slots=True)
class AskedOfficers:
    """The gate's deeds, as the officers of the region are asked for them."""

    book: ApprovalBook

    def request(self, deed: Deed) -> str:
        return self.book.request(*_asked(deed), OPERATOR)

    def use(self, deed: Deed) -> Consent:
        try:
            request_id = self.book.require(*_asked(deed), OPERATOR)
        except kernel_approvals.NotApproved as error:
            raise NotApproved(error.message) from error
        request = self.book.find(request_id)
        people = [one.officer for one in request.signatures if one.verdict is Verdict.APPROVE]
        return Consent(people=people, approval=request.digest)


def _asked(deed: Deed) -> tuple[Kind, dict[str, Any]]:
    action = {"deed": deed.name, "digest": deed.digest, "account": deed.account, **deed.facts}
    if deed.name == "TrustRegion":
        return Kind.TRUST_ANCHOR_CHANGE, action
    if deed.name == "ReviewTransfer":
        return Kind.TRANSFER_REVIEW, action
    return Kind.TRANSFER_RELEASE, {"direction": "down"} | action  # what does not say "up" is not


def open_transfer(core: Core, joined: Joined) -> TransferRoom:
    settings, labelling, rules = core.settings.transfer, core.labelling, core.rules.transfer
    carrying = Carrying(shelf=joined.store.space.shelf, region=core.region)
    folder = core.home / "transfer"
    setting_up = SettingUp(
        region=core.region,
        agencies=joined.identity.agencies,
        inside=_inside(core, joined),
    )
    site = Site(
        region=core.region.name,
        ceiling=core.settings.ceiling or core.settings.default_label,
        scheme=labelling.scheme,
        scheme_source=_scheme_source(core),
        receive_bytes_max=settings.receive_mib_max * MIB,
        down_bytes_per_day=settings.send_down_mib_per_day * MIB,
        automatic_from=tuple(settings.release_automatically_from),
        words=lines_as_ruled("dirty_words", settings.dirty_words, rules.dirty_words_sha256),
        patterns=_patterns(settings.dirty_patterns, rules.dirty_patterns_sha256),
        scanner=_scanner(settings),
    )
    shelves = Shelving(
        carrying=carrying,
        models=joined.models,
        environments=joined.environments,
        setting_up=setting_up,
        folder=folder / "weights",
    )
    around = Surroundings(
        clock=core.clock,
        ids=core.ids,
        approvals=joined.approvals,
        shelves=shelves,
        walls=Walls(
            bwrap=joined.machine.bwrap or None,
            seccomp=joined.machine.seccomp,
            uid_first=settings.uid_first if os.getuid() == 0 else None,
        ),
    )
    return TransferRoom(
        gate=open_gate(folder, site, around),
        agencies=joined.identity.agencies,
        carrying=carrying,
        models=joined.models,
        environments=joined.environments,
        setting_up=setting_up,
        fetched=folder / "fetched",
        default_label=labelling.default.text,
        trail=core.trail,
        clock=core.clock,
    )


def open_listener(core: Core, room: TransferRoom) -> Listener | None:
    """What takes bundles in as datagrams, where the site wants that. Its cage has to be whole."""
    settings, gate = core.settings.transfer, room.gate
    if not settings.udp:
        return None
    host, _, port = settings.udp.rpartition(":")
    mute = core.home / "transfer" / "mute.bpf"
    try:
        if gate.line.walls.bwrap is None:
            raise RuntimeError("bubblewrap is not installed")
        durable.folder(mute.parent)
        seccomp.write_filter(mute, mute=True)
        door = bound((host.strip("[]"), int(port)))
    except (ImportError, OSError, RuntimeError) as error:
        raise SettingsError(f"transfer.udp = {settings.udp}: {error}") from error
    return Listener(
        door=door,
        folder=gate.incoming.folder,
        region=gate.region,
        bytes_max=gate.site.receive_bytes_max,
        walls=gate.line.walls,
        mute=mute,
        trust=gate.trust,
    )


def _inside(core: Core, joined: Joined) -> InsideCalls:
    handlers = {"iam": joined.identity.handlers["iam"], "s3": joined.store.handlers["s3"]}
    return InsideCalls(
        core=core,
        labelling=joined.identity.labelling,
        methods=methods(joined.catalogue, handlers),
        validators=Validators(),
    )


def _scheme_source(core: Core) -> SchemeSource:
    """The filters see no file of the region: a site's own scheme goes to them as a text. It is read
    once more here, and has to be the one that the region began with."""
    name = core.settings.scheme
    if name in PACKAGED:
        return SchemeSource(name=name, text="")
    try:
        text = text_of(name, core.home.parents[1] / name)
        if read(text, name).said == core.labelling.scheme.said:
            return SchemeSource(name=name, text=text)
    except (SchemeError, OSError) as error:
        raise SettingsError(f"The region's labels: {error}") from error
    raise SettingsError(f"The scheme {name} has changed while the region was starting.")


def _scanner(settings: TransferSettings) -> Scanner:
    """What is not there would refuse everything, later: it is a reason not to start."""
    for path in (*settings.scanner[:1], *settings.scanner_reads):
        if not path.startswith("/") or not Path(path).exists():
            raise SettingsError(f"scanner: {path} is not there, or not named from / on")
    return Scanner(
        command=tuple(settings.scanner),
        reads=tuple(settings.scanner_reads),
        timeout_s=settings.scanner_timeout_s,
    )


def _patterns(path: str, ruled: str) -> tuple[str, ...]:
    found = lines_as_ruled("dirty_patterns", path, ruled)
    try:
        for one in found:
            words.compiled(one)
    except ValueError as error:
        raise SettingsError(f"dirty_patterns: {error}") from error
    return found
