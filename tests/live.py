"""A real region for tests: its own process, a folder of its own, a port that the system chose."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bastide.cli.control import CommandFailed, Control
from bastide.settings import load
from tests import strays

ROOT = Path(__file__).parents[1]
NAME = "us-gov-west-1"
START_LIMIT_S = 180.0  # a loaded machine needs two minutes
ROOT_LAYERS = ["uid", "cgroup-memory", "cgroup-pids", "cgroup-cpu"]
SHARED = ("environments", "models")  # what is slow to make and never changes comes from the cache


def cache_home() -> Path:
    """Where weights and environments are kept between runs."""
    home = Path(os.environ.get("BASTIDE_CACHE") or ROOT / ".cache")
    home.mkdir(parents=True, exist_ok=True)
    return home


def data_home() -> Path:
    """Where the real data sets are; they are not part of the repository."""
    return Path(os.environ.get("BASTIDE_DATA") or ROOT.parent / "shared" / "data")


def toml_for(database_url: str = "", name: str = NAME) -> str:
    """The settings of a region on a free port, and on a database if one is named. Without root
    some walls are missing, and the tests' own jobs are let in all the same."""
    lines = [f'default_region = "{name}"', f"[regions.{name}]", "port = 0"]
    if database_url:
        lines.append(f'database = "{database_url}"')
    if os.getuid() != 0:
        lines += [f"[regions.{name}.jobs]", f"allow_missing_layers = {json.dumps(ROOT_LAYERS)}"]
    return "\n".join([*lines, ""])


@dataclass
class LiveRegion:
    """`start()`, then `client("s3", "agency")`; `kill()` is kill -9, and `start()` again."""

    home: Path
    toml: str = ""
    name: str = NAME
    module: str = "bastide.app"
    process: subprocess.Popen[bytes] | None = None
    status: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.home / "regions" / self.name

    @property
    def control(self) -> Control:
        return Control(load({"BASTIDE_HOME": str(self.home)}), self.name)

    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BASTIDE_"))}
        return {**kept, "BASTIDE_HOME": str(self.home)}

    def start(self) -> "LiveRegion":
        self.folder.mkdir(parents=True, exist_ok=True)
        for shared in SHARED:
            source = cache_home() / shared
            source.mkdir(exist_ok=True)
            if not (self.folder / shared).exists():
                (self.folder / shared).symlink_to(source)
        (self.home / "bastide.toml").write_text(self.toml or toml_for(name=self.name))
        log = (self.folder / "region.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, "--region", self.name],
            env=self.environ(), stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        self._wait_ready()
        return self

    def _wait_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            try:
                self.status = self.control.get("/status")
                return
            except (CommandFailed, OSError):
                assert self.process.poll() is None, self.log()
                time.sleep(0.02)
        raise AssertionError(f"not ready after {START_LIMIT_S} s:\n{self.log()}")

    def log(self) -> str:
        return (self.folder / "region.log").read_text()[-6000:]

    def kill(self) -> None:
        """kill -9 of the control plane alone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Its jobs would go on; nobody asks for them any more."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        strays.end_shims(self.folder)

    def cli(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `bastide …` as a person would."""
        done = subprocess.run(
            [sys.executable, "-m", "bastide.cli.main", *words],
            env=self.environ(), capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def agency(self, name: str) -> dict[str, str]:
        """What `bastide client-env` prints for an agency, which is made when it is not there."""
        if name not in self.keys:
            listed = {row["name"]: row for row in self.control.get("/agencies")}
            if name not in listed:
                self.control.post("/agencies", {"name": name, "account_id": None})
            words = ("--agency", name, "--bearer", "--region", self.name, "--json")
            self.keys[name] = json.loads(self.cli("client-env", *words).stdout)
        return self.keys[name]

    def account(self, name: str) -> dict[str, str]:
        self.agency(name)
        return next(row for row in self.control.get("/agencies") if row["name"] == name)

    def s3(self, bucket: str, agency: str = "demo", **config: Any) -> Any:
        """An S3 client of that agency, with a bucket that is made now."""
        client = self.client("s3", agency, **config)
        where = {"LocationConstraint": self.name}
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        return client

    def client(self, service: str, agency: str = "demo", **config: Any) -> Any:
        """A boto3 client of that agency's administrator, over TLS."""
        env = self.agency(agency)
        return boto3.client(
            service,
            endpoint_url=self.status["endpoint"],
            verify=env.get("AWS_CA_BUNDLE"),
            region_name=self.name,
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}, **config),
        )
