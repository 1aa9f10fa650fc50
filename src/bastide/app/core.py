"""What every context stands on: the database, the keys and the audit log of one region."""

from dataclasses import dataclass
from pathlib import Path

from bastide.audit.log import MerkleLog
from bastide.audit.signing import load_signer
from bastide.audit.trail import AuditTrail
from bastide.db import Database, durable
from bastide.db.labels_in_use import LabelsInUse
from bastide.db.migrate import migrate
from bastide.kernel.clock import SystemClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.labels import scheme as schemes
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.labels.scheme import MarkingError, SchemeError
from bastide.kernel.regions import Region
from bastide.keys.keyring import Keyring
from bastide.keys.opening import open_keyring
from bastide.keys.pkcs11_master import Pkcs11Master
from bastide.settings import RegionSettings, SettingsError, Site
from bastide.wire.model import region as region_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What every context stands on."""

    region: Region
    home: Path
    settings: RegionSettings
    clock: SystemClock
    ids: SystemIds
    database: Database
    keyring: Keyring
    labelling: Labelling
    labels: LabelsInUse
    log: MerkleLog
    trail: AuditTrail

    def close(self) -> None:
        self.log.close()
        self.keyring.close()
        self.database.close()


def open_core(site: Site, name: str) -> Core:
    """Open the database, the keys and the audit log; refuses a log that is not what was signed."""
    home = site.region_home(name)
    settings = site.settings.region(name)
    labelling = labelling_of(settings, site)
    durable.folder(home)
    url = settings.database or f"sqlite:///{home / 'region.db'}"
    migrate(url)
    database = Database(url)
    database.start()
    keyring = _open_keys(home, name, settings)
    clock, ids = SystemClock(), SystemIds()
    signer = load_signer(home / "audit", f"bastide/{name}")
    log = MerkleLog(database, signer, clock, held=home / "audit" / "held.checkpoint")
    log.start()
    labels = LabelsInUse(database, labelling.scheme)
    return Core(
        region=region_named(name),
        home=home,
        settings=settings,
        clock=clock,
        ids=ids,
        database=database,
        keyring=keyring,
        labelling=labelling,
        labels=labels,
        log=log,
        trail=AuditTrail(log, clock, ids, labels.use),
    )


def labelling_of(settings: RegionSettings, site: Site) -> Labelling:
    """The region's labels. Raises SettingsError where its scheme, default and ceiling do not go
    together."""
    own = None if settings.scheme in schemes.PACKAGED else site.home / settings.scheme
    try:
        scheme = schemes.load(settings.scheme, own)
        default = scheme.parse(settings.default_label)
        ceiling = scheme.clearance(settings.ceiling or settings.default_label)
    except (SchemeError, MarkingError, OSError) as error:
        raise SettingsError(f"The region's labels: {error}") from error
    if not ceiling.dominates(default):
        raise SettingsError(f"default_label {default} is above the region's ceiling {ceiling}.")
    return Labelling(scheme=scheme, ceiling=ceiling, default=default)


def _open_keys(home: Path, name: str, settings: RegionSettings) -> Keyring:
    """Apart from the data, so that a backup of the one never holds the other."""
    if settings.key_database and settings.key_database == settings.database:
        raise SettingsError("key_database must be another database than that of the data.")
    wanted = settings.master
    token = None
    if wanted.pkcs11_module:
        try:
            pin = Path(wanted.pin_file).read_text().strip()
        except OSError as error:
            raise SettingsError(f"master.pin_file: {error}") from error
        token = Pkcs11Master(
            module=wanted.pkcs11_module, token=wanted.token, label=f"bastide/{name}", pin=pin
        )
    return open_keyring(home / "keys", settings.key_database, token)
