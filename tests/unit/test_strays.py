"""What the tests leave behind is found however it hides, ended, and fails the run by its name."""

import subprocess
import sys

import pytest
from tests import strays

# It leaves its parent and its session, as a shim does, and then tells its pid.
AWAY = "import os,sys,time\nif os.fork(): os._exit(0)\nos.setsid()\n{}\ntime.sleep(600)"
TELL = "sys.stdout.write(f'{os.getpid()}\\n'); sys.stdout.flush(); os.close(1)"


def away(doing, *words, **more):
    command = [sys.executable, "-I", "-c", AWAY.format(f"{doing}\n{TELL}"), *words]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True, **more).stdout)


@pytest.mark.parametrize(
    ("doing", "word", "env", "cwd"),
    [
        ("", "{}/spec.json", {}, "/"),
        ("", "", {"BASTIDE_HOME": "{}/home"}, "/"),
        ("", "", {}, "{}"),
        ("os.dup2(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), 9)", "{}/log", {}, "/"),
    ],
    ids=["called with it", "set to it", "stands in it", "holds it open"],
)
def test_one_that_went_away_is_found_and_ended(tmp_path, doing, word, env, cwd):
    assert strays.left(tmp_path) == []
    env = {"PYTEST_CURRENT_TEST": "this one"} | {k: v.format(tmp_path) for k, v in env.items()}
    pid = away(doing, word.format(tmp_path), env=env, cwd=cwd.format(tmp_path))
    assert [one.pid for one in strays.left(tmp_path)] == [pid]
    assert strays.left(tmp_path.with_name(tmp_path.name[:-1])) == [], "of another folder's name"
    strays.end_shims(tmp_path)
    assert strays.left(tmp_path), "it is no job"
    (ended,) = strays.end(tmp_path)
    assert str(ended).startswith(f"process {pid} of this one: {sys.executable}")
    assert strays.left(tmp_path) == []


def test_the_run_fails_by_its_name(tmp_path):
    strays.fail_if_any(tmp_path)
    pid = away("", f"{tmp_path}/spec.json", env={}, cwd="/")
    with pytest.raises(AssertionError, match=f"process {pid} of a test: (?s:.*)spec.json"):
        strays.fail_if_any(tmp_path, limit_s=0.2)
    strays.fail_if_any(tmp_path)
