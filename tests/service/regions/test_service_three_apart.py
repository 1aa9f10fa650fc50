"""Each region has user ids of its own, and what it may do ends where they end."""

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.live import NAME, LiveRegion
from tests.three import NAMES

from bastide.jobs import proctree
from bastide.settings import parse

INTRUDER = Path(__file__).parent / "intruder.py"
PAIRS = list(itertools.permutations(NAMES, 2))
APART = f"[regions.{NAME}]\nport = {{port}}\nuid = 199999\n"


def uids_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:]}


def intrude(three, one, other, spaces):
    """What `one` reaches of `other`, by the attempt's name."""
    attacker, victim = three.regions[one], three.regions[other]
    done = subprocess.run(
        [sys.executable, INTRUDER, str(attacker.status["pid"]), spaces, victim.folder,
         str(victim.status["pid"])],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.root
def test_every_process_and_file_is_its_region_s(three):
    settings = parse(three.toml)
    for name, region in three.regions.items():
        ours = settings.region(name).uids()
        pid = region.status["pid"]
        for each in (pid, *proctree.descendants(pid)):
            assert all(any(uid in range_ for range_ in ours) for uid in uids_of(each))
        assert (region.status["uid"], region.status["own_uid"]) == (ours[-1].start, True)
        for file in (region.folder, *region.folder.rglob("*")):
            assert any(file.lstat().st_uid in range_ for range_ in ours), file
        assert region.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.root
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_with_all_its_capabilities_a_region_reaches_nothing_of_another(three, one, other):
    found = intrude(three, one, other, "user")
    assert int(found.pop("capabilities"), 16) & (
        1 << 1 | 1 << 0 | 1 << 7
    )  # dac_override, chown, setuid
    assert set(found.values()) == {"PermissionError"}, found


@pytest.mark.root
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_another_s_folder_is_not_even_there(three, one, other):
    found = intrude(three, one, other, "mnt,user")
    found.pop("capabilities")
    folder = {"list the folder", "read the database", "read the master key", "write a file",
              "own the folder", "open the folder to all"}  # fmt: skip
    for name, how in found.items():
        assert how == ("FileNotFoundError" if name in folder else "PermissionError"), name


@pytest.mark.root
@pytest.mark.parametrize("name", NAMES)
def test_of_itself_it_reaches_all(three, name):
    """Else the tests above would pass with an intruder that can do nothing."""
    found = intrude(three, name, name, "user")
    found.pop("capabilities")
    assert set(found.values()) == {"done"}, found
    (three.regions[name].folder / "planted").unlink()
    three.regions[name].folder.chmod(0o700)


@pytest.mark.root
def test_a_port_that_only_root_may_take(tmp_path):
    for port in range(1023, 500, -1):
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", port)) != 0:
                break
    region = LiveRegion(tmp_path, toml=APART.format(port=port)).start()
    try:
        assert region.status["endpoint"].endswith(f":{port}")
        assert region.client("sts").get_caller_identity()["Account"]
    finally:
        region.stop()


@pytest.mark.root
def test_a_host_that_gives_no_ids_is_told_and_nothing_is_started(tmp_path):
    """Root of a user namespace that has one id, as in many containers."""
    (tmp_path / "bastide.toml").write_text(APART.format(port=0))
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user",
         sys.executable, "-m", "bastide.app", "--region", NAME],
        env=LiveRegion(tmp_path).environ(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        "uid = 199999: this host does not let the region have a user id of its own" in done.stderr
    )


@pytest.mark.skipif(os.getuid() == 0, reason="of a plain user's regions")
def test_a_plain_user_is_told_that_its_regions_share_its_id(three):
    said = three.cli("up").stdout
    assert said.count(f"It runs as user id {os.getuid()}, as the others may:") == 3
