"""What every context stands on: the database, the keys and the audit log of one region."""

from dataclasses import dataclass
from pathlib import Path

from bastide.audit.log import MerkleLog
from bastide.audit.signing import load_signer
from bastide.audit.trail import AuditTrail
from bastide.db import Database, durable
from bastide.db.migrate import migrate
from bastide.kernel.clock import SystemClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.regions import Region
from bastide.keys.keyring import Keyring
from bastide.settings import RegionSettings, Site
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
    log: MerkleLog
    trail: AuditTrail

    def close(self) -> None:
        self.log.close()
        self.database.close()


def open_core(site: Site, name: str) -> Core:
    """Open the database, the keys and the audit log; refuses a log that is not what was signed."""
    home = site.region_home(name)
    settings = site.settings.region(name)
    durable.folder(home)
    url = settings.database or f"sqlite:///{home / 'region.db'}"
    migrate(url)
    database = Database(url)
    database.start()
    clock, ids = SystemClock(), SystemIds()
    signer = load_signer(home / "audit", f"bastide/{name}")
    log = MerkleLog(database, signer, clock, held=home / "audit" / "held.checkpoint")
    log.start()
    return Core(
        region=region_named(name),
        home=home,
        settings=settings,
        clock=clock,
        ids=ids,
        database=database,
        keyring=Keyring(home / "keys"),
        log=log,
        trail=AuditTrail(log, clock, ids),
    )
