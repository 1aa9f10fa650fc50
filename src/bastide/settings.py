"""Every setting of a site, read once. `bastide.toml` beside the state, or `$BASTIDE_CONFIG`.

The file is optional: each setting has a default that is safe. Unknown keys are errors. The sample
file `bastide.toml` in the repository documents every one of them, and a test compares the two.
"""

import os
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Literal

import msgspec

DEFAULT_REGION = "us-gov-west-1"
GATE_UIDS = 16  # more than the gate has filters
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Glass = Literal[
    "administrator-keys", "clearance-grant", "downgrade", "guardrail-loosening", "key-deletion",
    "transfer-release",
]  # fmt: skip
GLASS: tuple[Glass, ...] = ("clearance-grant", "guardrail-loosening")


UPSTREAM_URL = r"^(https://|http://127\.0\.0\.1:)[^?#@\s]*[^/?#@\s]$"


class SettingsError(Exception):
    """The settings cannot be used; the text says which one and why."""


class EngineUrl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenAI-compatible server that runs a model outside this region's own engines."""

    url: str
    model: str
    key_file: str = ""
    ca_file: str = ""
    # Unset says nothing in the rules that officers signed before there were these.
    further_urls: list[str] | msgspec.UnsetType = msgspec.UNSET
    tokens_at_once: Positive | msgspec.UnsetType = msgspec.UNSET


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The region's own llama.cpp engines."""

    memory_budget_mib: Positive = 4096
    reservable_mib: Annotated[int, msgspec.Meta(ge=0)] | dict[str, Positive] | None = None
    replicas: dict[str, Positive] = {}
    threads: Positive = 1
    slots: Positive = 4
    context_tokens: Positive = 8192
    load_timeout_s: Positive = 300
    urls: dict[str, EngineUrl] = {}


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model beyond the walls: another region's Bedrock, or Anthropic's API."""

    kind: Literal["bedrock", "anthropic"]
    url: Annotated[str, msgspec.Meta(pattern=UPSTREAM_URL)]
    model: str
    key_file: str
    region: str = ""
    ca_file: str = ""


class EgressSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prompts of that agency ("*": of any) up to that label may leave for these upstreams."""

    agency: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{12}|\*)$")]
    up_to: str
    models: list[str]


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agency may ask of a model, at each label of its own; None: as much as comes."""

    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None


class QuotaSettings(Quota, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`models`: by model id, in place of what stands above."""

    models: dict[str, Quota] = {}


class JobSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What jobs may use of this machine, and which missing walls the site accepts by name."""

    cpus: Annotated[float, msgspec.Meta(gt=0)] | None = None
    memory_mib: Positive | None = None
    uid_first: Positive = 200_000
    uid_count: Positive = 65_536
    allow_missing_layers: list[str] = []


class ApprovalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what two persons decide is good for, and what one may do alone and answer for.
    Who may sign is never touched from here."""

    valid_days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 7
    key_deletion_wait_days: Annotated[int, msgspec.Meta(ge=0, le=30)] = 7
    countersign_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 24
    break_glass: list[Glass] = msgspec.field(default_factory=lambda: list(GLASS))


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long records of the audit log stay, whoever signs for their retirement."""

    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 90


class TransferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gate to other regions."""

    receive_mib_max: Positive = 65_536
    send_down_mib_per_day: Annotated[int, msgspec.Meta(ge=0)] = 100
    release_automatically_from: list[str] = []
    dirty_words: str = ""
    dirty_patterns: str = ""
    scanner: list[str] = []
    scanner_reads: list[str] = []
    scanner_timeout_s: Positive = 600
    udp: Annotated[str, msgspec.Meta(pattern=r"^(.+:[0-9]{1,5})?$")] = ""
    uid_first: Positive = 270_000


class KnowledgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`portions_apart`: a document's portion is found at its own label, not at the document's."""

    portions_apart: bool = False


class GuardrailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`judge_model`: which model of this region is asked where a filter's score is near its line;
    "": none is."""

    judge_model: str = ""


LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0", "unlicense",
)  # fmt: skip


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What agencies may bring as models of their own."""

    licences: list[str] = msgspec.field(default_factory=lambda: list(LICENCES))
    import_mib_max: Positive = 20_480


class MasterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the region's master key is: in a file, or in a PKCS #11 token."""

    pkcs11_module: str = ""
    token: str = ""
    pin_file: str = ""


class RegionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region: one listener, one database, one classification ceiling."""

    host: str = "127.0.0.1"
    port: Port = 8443
    plain_http: bool = False
    database: str = ""
    uid: Annotated[int, msgspec.Meta(ge=0)] = 0
    key_database: str = ""
    scheme: str = "us"
    default_label: str = "U"
    ceiling: str = ""
    watts_per_core: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    handler_threads: Positive = 32
    upload_threads: Positive = 64
    host_names: list[str] = []
    aliases: dict[str, str] = {}
    master: MasterSettings = msgspec.field(default_factory=MasterSettings)
    jobs: JobSettings = msgspec.field(default_factory=JobSettings)
    models: ModelSettings = msgspec.field(default_factory=ModelSettings)
    engines: EngineSettings = msgspec.field(default_factory=EngineSettings)
    air_gapped: bool = True
    upstreams: dict[str, UpstreamSettings] = {}
    egress: list[EgressSettings] = []
    quotas: QuotaSettings = msgspec.field(default_factory=QuotaSettings)
    approvals: ApprovalSettings = msgspec.field(default_factory=ApprovalSettings)
    audit: AuditSettings = msgspec.field(default_factory=AuditSettings)
    transfer: TransferSettings = msgspec.field(default_factory=TransferSettings)
    knowledge: KnowledgeSettings = msgspec.field(default_factory=KnowledgeSettings)
    guardrails: GuardrailSettings = msgspec.field(default_factory=GuardrailSettings)

    def uids(self) -> list[range]:
        """The user ids of the host that are this region's: its jobs', its gate's, and its own."""
        jobs, gate = self.jobs.uid_first, self.transfer.uid_first
        own = [range(self.uid, self.uid + 1)] if self.uid else []
        return [range(jobs, jobs + self.jobs.uid_count), range(gate, gate + GATE_UIDS), *own]


class GateRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate asks nobody about, and what it stops."""

    send_down_mib_per_day: int
    release_automatically_from: list[str]
    dirty_words_sha256: str
    dirty_patterns_sha256: str
    scanner: list[str]
    scanner_reads: list[str]


class EngineRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which prompts leave the region, whatever their label, and for where."""

    urls: dict[str, EngineUrl]


class EgressRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which prompts leave for whom, in a region that its site lets reach out."""

    upstreams: dict[str, UpstreamSettings]
    egress: list[EgressSettings]


class JobRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which walls tenants' code does without."""

    allow_missing_layers: list[str]


class Rules(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What one person may do alone in a region, and what none may: the settings that two officers
    sign for once there are officers (decision 0052). What came later says nothing by default: what
    was signed before stays good."""

    approvals: ApprovalSettings
    audit: AuditSettings
    transfer: GateRules
    engines: EngineRules
    jobs: JobRules
    knowledge: KnowledgeSettings | None = None
    beyond: EgressRules | None = None
    guardrails: GuardrailSettings | None = None

    @property
    def said(self) -> str:
        """In one spelling."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @staticmethod
    def parse(text: str) -> "Rules":
        """Raises SettingsError."""
        try:
            return msgspec.json.decode(text, type=Rules)
        except msgspec.DecodeError as error:
            raise SettingsError(f"These are no rules: {error}") from error

    @staticmethod
    def of(settings: RegionSettings) -> "Rules":
        """Raises SettingsError where a list of words or patterns cannot be read."""
        gate = settings.transfer
        return Rules(
            approvals=settings.approvals,
            audit=settings.audit,
            transfer=GateRules(
                send_down_mib_per_day=gate.send_down_mib_per_day,
                release_automatically_from=gate.release_automatically_from,
                dirty_words_sha256=_digest(lines_of("dirty_words", gate.dirty_words)),
                dirty_patterns_sha256=_digest(lines_of("dirty_patterns", gate.dirty_patterns)),
                scanner=gate.scanner,
                scanner_reads=gate.scanner_reads,
            ),
            engines=EngineRules(urls=settings.engines.urls),
            jobs=JobRules(allow_missing_layers=settings.jobs.allow_missing_layers),
            knowledge=settings.knowledge if settings.knowledge.portions_apart else None,
            guardrails=settings.guardrails if settings.guardrails.judge_model else None,
            beyond=None
            if settings.air_gapped
            else EgressRules(upstreams=settings.upstreams, egress=settings.egress),
        )


def _digest(lines: tuple[str, ...]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def lines_as_ruled(setting: str, path: str, sha256_: str) -> tuple[str, ...]:
    """A site's list as the rules have it. A path may lead elsewhere when it is read again."""
    lines = lines_of(setting, path)
    if _digest(lines) != sha256_:
        raise SettingsError(f"{setting}: {path} has changed while the region was starting.")
    return lines


def lines_of(setting: str, path: str) -> tuple[str, ...]:
    """A site's list. One that is named and cannot be read is a reason not to start."""
    if not path:
        return ()
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting}: {path} cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    regions: dict[str, RegionSettings] = {}
    default_region: str = DEFAULT_REGION
    default_model: str = "smollm2-135m"

    def region(self, name: str) -> RegionSettings:
        """The settings of region `name`: those of the file, else the defaults."""
        return self.regions.get(name, RegionSettings())

    def names(self) -> list[str]:
        """The regions of this site: those of the file, else the default one."""
        return list(self.regions) or [self.default_region]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a site's state is, and its settings."""

    home: Path
    settings: SiteSettings

    def region_home(self, name: str) -> Path:
        return self.home / "regions" / name

    def control_socket(self, name: str) -> Path:
        """The operators' door to a running region: a unix socket that only its owner opens."""
        return self.region_home(name) / "control.sock"


def load(environ: Mapping[str, str] | None = None) -> Site:
    """The site that `$BASTIDE_HOME` (default `./.bastide`) and `$BASTIDE_CONFIG` describe."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("BASTIDE_HOME") or ".bastide").absolute()
    named = environ.get("BASTIDE_CONFIG")
    path = Path(named) if named else home / "bastide.toml"
    if not path.exists():
        if named:
            raise SettingsError(f"$BASTIDE_CONFIG names {path}, which does not exist.")
        return Site(home=home, settings=SiteSettings())
    return Site(home=home, settings=parse(path.read_text(), str(path)))


def parse(text: str, source: str = "bastide.toml") -> SiteSettings:
    """The settings in `text`. Raises SettingsError with the setting's path."""
    try:
        found = msgspec.convert(tomllib.loads(text), SiteSettings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{source}: {error}") from error
    for name, region in found.regions.items():
        if region.air_gapped and region.upstreams:
            raise SettingsError(f"{source}: {name} has upstreams, and is air-gapped: air_gapped.")
        if region.guardrails.judge_model in region.upstreams:
            judge = region.guardrails.judge_model
            raise SettingsError(f"{source}: {name}'s judge_model {judge} is beyond the walls.")
    if shared := _shared(found):
        raise SettingsError(f"{source}: {shared}")
    return found


def _shared(site: SiteSettings) -> str:
    """What two regions of one host would share, in words; "" when they share nothing. That two
    listen at one port of different addresses is fine, and the second one's bind tells if not."""
    for name, one in site.regions.items():
        for own, others in combinations(one.uids(), 2):
            if _overlap(own, others):
                shared = max(own.start, others.start)
                return f"{name} wants user id {shared} twice: for itself, its jobs or its gate."
    for (name, one), (other, two) in combinations(site.regions.items(), 2):
        if one.port and (one.host, one.port) == (two.host, two.port):
            return f"{name} and {other} both want port {one.port} of {one.host}."
        if one.transfer.udp and one.transfer.udp == two.transfer.udp:
            return f"{name} and {other} both want datagrams at {one.transfer.udp}."
        if one.database and one.database == two.database:
            return f"{name} and {other} both want the database {one.database}."
        for own, others in product(one.uids(), two.uids()):
            if _overlap(own, others):
                return (
                    f"{name} and {other} both want user id {max(own.start, others.start)}: "
                    "give each a uid, a jobs.uid_first and a transfer.uid_first of its own."
                )
    return ""


def _overlap(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)
