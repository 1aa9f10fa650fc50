"""`python -m bastide.app --region NAME`: run one region until it is told to stop."""

import argparse
import fcntl
import logging
import os
import socket
import sys
from pathlib import Path

import uvloop

from bastide.app import apart
from bastide.app.region import RegionProcess
from bastide.audit.log import TornLog
from bastide.db import durable
from bastide.settings import SettingsError, Site, load
from bastide.wire.server import bound_socket


def _locked(home: Path) -> int:
    """One process for each region: its lock, held until the process ends."""
    durable.folder(home)
    descriptor = os.open(home / "region.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"The region at {home} is running already.")
    return descriptor


async def _run(site: Site, name: str, listener: socket.socket) -> None:
    process = RegionProcess(site, name, listener)
    await process.run()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run one region.")
    parser.add_argument("--region", required=True)
    name = parser.parse_args().region
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        site = load()
        lock = _locked(site.region_home(name))
        settings = site.settings.region(name)
        listener = bound_socket(settings.host, settings.port)  # before: a low port needs root
        if settings.uid and os.getuid() == 0:
            apart.enter(site, name)
        uvloop.run(_run(site, name, listener))
        os.close(lock)
    except (SettingsError, TornLog, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
