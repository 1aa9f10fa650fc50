"""What every context stands on: the database, the keys and the audit log of one region."""

import logging
from dataclasses import dataclass
from pathlib import Path

from bastide.audit.log import MerkleLog
from bastide.audit.lost_ends import close_lost_ends
from bastide.audit.signing import load_signer
from bastide.audit.trail import AuditTrail
from bastide.db import Database, durable, label_records
from bastide.db.label_settings import Held, LabelSettings, OtherMeaning
from bastide.db.labels_in_use import LabelsInUse
from bastide.db.migrate import migrate
from bastide.db.site_rules import OtherRules, SiteRules
from bastide.identity import clearance_records
from bastide.identity import records as identity_records
from bastide.kernel.clock import SystemClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.labels import scheme as schemes
from bastide.kernel.labels.labelling import Labelling, of_region
from bastide.kernel.labels.scheme import MarkingError, SchemeError
from bastide.kernel.regions import Region
from bastide.keys.keyring import Keyring
from bastide.keys.opening import open_keyring
from bastide.keys.pkcs11_master import Pkcs11Master
from bastide.kms import records as kms_records
from bastide.policy import approval_records
from bastide.settings import RegionSettings, Rules, SettingsError, Site
from bastide.store import share_records
from bastide.wire.model import region as region_named

logger = logging.getLogger(__name__)


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
    label_settings: LabelSettings
    rules: Rules
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
    labelling, rules = labelling_of(settings, site), Rules.of(settings)
    durable.folder(home)
    url = settings.database or f"sqlite:///{home / 'region.db'}"
    migrate(url)
    database = Database(url)
    database.start()
    keyring = _open_keys(home, name, settings)
    label_settings = LabelSettings(
        database=database, held=lambda: held_in(database, keyring.database)
    )
    site_rules = SiteRules(database=database, has_officers=lambda: has_officers(database))
    try:
        first_time = label_settings.is_new(labelling)
        first_rules = site_rules.is_new(rules.said)
    except (OtherMeaning, OtherRules) as error:
        raise SettingsError(str(error)) from error
    clock, ids = SystemClock(), SystemIds()
    signer = load_signer(home / "audit", f"bastide/{name}")
    log = MerkleLog(database, signer, clock, held=home / "audit" / "held.checkpoint")
    log.start()
    labels = LabelsInUse(database, labelling.scheme)
    trail = AuditTrail(log, clock, ids, labels.use)
    if found := close_lost_ends(database, trail):
        logger.warning("the ends of %d calls were lost; the audit log says so", found)
    if first_time:
        trail.operator("BeginLabelSettings", {"sha256": labelling.digest}).result()
        label_settings.begin(labelling)
    if first_rules:
        trail.operator("BeginRules", {"rules": rules.said}).result()
        site_rules.begin(rules.said)
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
        label_settings=label_settings,
        rules=rules,
        log=log,
        trail=trail,
    )


def labelling_of(settings: RegionSettings, site: Site) -> Labelling:
    """The region's labels. Raises SettingsError where its scheme, default and ceiling do not go
    together."""
    own = None if settings.scheme in schemes.PACKAGED else site.home / settings.scheme
    try:
        scheme = schemes.load(settings.scheme, own)
        return of_region(scheme, settings.default_label, settings.ceiling)
    except (SchemeError, MarkingError, OSError) as error:
        raise SettingsError(f"The region's labels: {error}") from error


def has_officers(database: Database) -> bool:
    """Whether anybody could sign for other rules."""
    return bool(database.read(approval_records.all_officers))


def held_in(database: Database, key_database: Database) -> Held:
    """Every marking that is kept: a KMS key, a grant or a share may be of one that no row of data
    carries."""
    agencies = database.read(identity_records.all_agencies)
    markings = {
        *database.read(label_records.all_of),
        *(agency.label for agency in agencies if agency.label),
        *database.read(clearance_records.labels),
        *database.read(share_records.labels),
        *key_database.read(kms_records.labels),
    }
    return Held(markings=frozenset(markings), anything=bool(agencies or markings))


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
