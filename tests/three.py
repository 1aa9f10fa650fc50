"""The three regions of the sample `bastide.toml`, started by `bastide up` as a site's would be."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import strays
from tests.live import ROOT, ROOT_LAYERS, LiveRegion

NAMES = ("us-gov-west-1", "us-isob-east-1", "us-iso-east-1")
SAMPLE = ROOT / "bastide.toml"
UIDS_FROM = (os.getpid() % 1000 + 1) * 1_000_000  # those of the sample may be others' on this host


def sample_toml() -> str:
    """The sample, on ports that the system chooses, with user ids that nobody else has here, and
    with room for a job beside an endpoint. The second region takes datagrams."""
    text = re.sub(r"^port = \d+$", "port = 0", SAMPLE.read_text(), flags=re.M)
    text = re.sub(r"^(uid|uid_first) = (\d+)$", _moved, text, flags=re.M)
    text = text.replace(".jobs]\n", ".jobs]\ncpus = 8.0\n")
    gate = f"[regions.{NAMES[1]}.transfer]\n"
    text = text.replace(gate, f'{gate}udp = "127.0.0.1:0"\n')
    if os.getuid() != 0:
        text = text.replace("allow_missing_layers = []\n", "")
        allowed = f"allow_missing_layers = {json.dumps(ROOT_LAYERS)}\n"
        text = text.replace(".jobs]\n", f".jobs]\n{allowed}")
    return text


def _moved(found: re.Match[str]) -> str:
    return f"{found[1]} = {UIDS_FROM + int(found[2])}"


@dataclass
class ThreeRegions:
    """`up()`, then `regions["us-iso-east-1"].client("s3")`."""

    home: Path
    toml: str = field(default_factory=sample_toml)
    regions: dict[str, LiveRegion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.home / "bastide.toml").write_text(self.toml)
        for name in NAMES:
            self.regions[name] = LiveRegion(self.home, toml=self.toml, name=name)

    def cli(self, *words: str, check: bool = True):
        return self.regions[NAMES[0]].cli(*words, check=check)

    def up(self) -> "ThreeRegions":
        lines = self.cli("up", "--json").stdout.splitlines()
        for status in map(json.loads, lines):
            self.regions[status["region"]].status = status
        return self

    def down(self) -> None:
        self.cli("down")
        strays.end_shims(self.home)


@contextmanager
def three_regions(home: Path) -> Iterator[ThreeRegions]:
    site = ThreeRegions(home)
    try:
        yield site.up()
    finally:
        site.down()
