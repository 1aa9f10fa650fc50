"""`bastide up`, `down` and `status` of a site of three regions, each told by itself."""

import json
import re
import socket

from tests.three import NAMES, ThreeRegions, sample_toml, three_regions

PARTITIONS = ("aws-us-gov", "aws-iso-b", "aws-iso")
SUFFIXES = ("amazonaws.com", "sc2s.sgov.gov", "c2s.ic.gov")
CEILINGS = ("CUI", "SECRET", "TOP SECRET//SI/TK")


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(site, command):
    """What each region says, and a second time says: the command may be given again."""
    return {one["region"]: one for one in rows(site.cli(command, "--json"))}


def test_up_starts_all_of_the_sample_and_harms_none_that_runs(three):
    first = {name: region.status for name, region in three.regions.items()}
    again = told(three, "up")
    assert list(again) == list(NAMES)
    for name, partition, ceiling in zip(NAMES, PARTITIONS, CEILINGS, strict=True):
        assert (again[name]["partition"], again[name]["ceiling"]) == (partition, ceiling)
        assert again[name]["pid"] == first[name]["pid"]
    assert len({one["pid"] for one in again.values()}) == 3
    assert len({one["endpoint"] for one in again.values()}) == 3
    assert {n: s["pid"] for n, s in told(three, "status").items()} == {
        n: s["pid"] for n, s in first.items()
    }


def test_status_of_several_is_a_line_each_and_of_one_its_walls(three):
    all_ = three.cli("status").stdout
    for name, ceiling in zip(NAMES, CEILINGS, strict=True):
        assert re.search(rf"^{name} .*{ceiling}", all_, re.M)
    one = three.cli("status", "--region", NAMES[2]).stdout
    assert "Walls of the sandbox" in one
    assert NAMES[0] not in one


def test_names_are_those_of_the_regions_partitions(three):
    for name, partition, suffix in zip(NAMES, PARTITIONS, SUFFIXES, strict=True):
        region = three.regions[name]
        who = region.client("sts").get_caller_identity()
        assert who["Arn"].startswith(f"arn:{partition}:iam::{who['Account']}:user/")
        words = ("client-env", "--agency", "demo", "--dns", "--region", name)
        assert f" s3.{name}.{suffix}\n" in three.cli(*words).stdout


def test_one_that_cannot_start_is_told_and_keeps_no_other_from_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        toml = sample_toml()
        head, _, tail = toml.rpartition("port = 0")
        site = ThreeRegions(tmp_path, toml=f"{head}port = {port}{tail}")
        done = site.cli("up", "--json", check=False)
        try:
            assert done.returncode == 1
            assert [one["region"] for one in rows(done)] == list(NAMES[:2])
            assert f"Region {NAMES[2]} did not start" in done.stderr
            assert f"127.0.0.1:{port} cannot be listened on" in done.stderr
            seen = site.cli("status", "--json", check=False)
            assert seen.returncode == 1
            assert [one["region"] for one in rows(seen)] == list(NAMES[:2])
            assert f"Region {NAMES[2]} is not running." in seen.stderr
        finally:
            site.down()
    assert [one["was_running"] for one in rows(site.cli("down", "--json"))] == [False] * 3


def test_one_is_stopped_and_started_alone(tmp_path):
    with three_regions(tmp_path) as site:
        pids = {name: one.status["pid"] for name, one in site.regions.items()}
        site.cli("down", "--region", NAMES[1])
        running = site.cli("status", "--json", check=False)
        assert [one["region"] for one in rows(running)] == [NAMES[0], NAMES[2]]
        site.cli("up", "--region", NAMES[1])
        now = {name: one["pid"] for name, one in told(site, "status").items()}
        assert (now[NAMES[0]], now[NAMES[2]]) == (pids[NAMES[0]], pids[NAMES[2]])
        assert now[NAMES[1]] != pids[NAMES[1]]


def test_of_several_none_stays_on_the_screen(tmp_path):
    site = ThreeRegions(tmp_path)
    done = site.cli("up", "--foreground", check=False)
    assert done.returncode == 2
    assert "--region" in done.stderr
