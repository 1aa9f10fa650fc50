"""kill -9 between approval and effect: never an effect without approval, never two for one."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract.policy.dying import ACTION, POINTS
from tests.officers_kit import Office

from bastide.kernel.approvals import Kind, NotApproved
from bastide.policy.approval_model import Refused, Standing


@pytest.fixture
def office(database):
    made = Office(database)
    for name in ("ann", "bob"):
        made.enrol(name, "security-officer")
    made.enrol("rob", "reviewer")
    return made


@pytest.fixture
def request_id(office):
    return office.book.request(Kind.CLEARANCE_GRANT, ACTION, "operator")


def approve(office, request_id):
    for name in ("ann", "bob"):
        office.say(request_id, name)


def killed(url, point, file):
    """Run until it is killed there; what went wrong before that, if anything."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.policy.dying", url, point, str(file)],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return "" if done.returncode == -signal.SIGKILL else done.stderr


def was_done(office):
    return next(one.suspended for one in office.officers.list() if one.name == "rob")


def again(office):
    """Whether it can be carried out once more."""
    try:
        office.book.require(Kind.CLEARANCE_GRANT, ACTION, "operator")
    except NotApproved:
        return False
    return True


@pytest.mark.parametrize("point", POINTS)
def test_killed_on_the_way(office, request_id, database_url, tmp_path, point):
    file = tmp_path / "done"
    approve(office, request_id)
    assert killed(database_url, point, file) == ""
    used = POINTS.index(point) >= POINTS.index("after the use")
    assert was_done(office) is used
    assert file.exists() is (point == "after the effect")
    state = Standing.USED if used else Standing.APPROVED
    known = {one.name: one for one in office.officers.list()}
    assert office.book.standing(office.book.find(request_id), known) is state
    assert again(office) is not used
    assert not again(office)


def test_what_is_not_approved_is_not_carried_out(office, request_id, database_url, tmp_path):
    assert "NotApproved" in killed(database_url, "after the effect", tmp_path / "done")
    assert not was_done(office)


def test_of_many_at_once_one_is_done(office, request_id):
    approve(office, request_id)
    done = []

    def carry_out(number):
        try:
            office.book.carry_out(
                Kind.CLEARANCE_GRANT, ACTION, "operator", lambda c: done.append(number)
            )
        except (NotApproved, Refused):
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(carry_out, range(16))) == 1
    assert len(done) == 1
