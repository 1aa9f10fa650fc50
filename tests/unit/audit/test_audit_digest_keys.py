"""The key of the trails' digests is renewed: one whole key at every moment, and old ones listed."""

import shutil
import stat
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from tests.faults import killed

from bastide.audit.digest_keys import OLD, OLD_MAX, open_digest_keys
from bastide.audit.signing import DIGESTS
from bastide.kernel.errors import ServiceError

STEPS = frozenset({"open", "os.rename", "os.remove", "os.link"})
NOW = datetime(2100, 1, 1, tzinfo=UTC)
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


@pytest.fixture
def keys(tmp_path):
    return open_digest_keys(tmp_path)


def names(keys):
    return [key.fingerprint for key in keys.listed(*ALWAYS)]


def test_an_old_key_stays_listed_for_the_time_that_it_was_valid(keys, tmp_path):
    first = keys.signer.described
    keys.rotate(NOW)
    second = keys.signer
    assert names(keys) == [first.fingerprint, second.fingerprint]
    assert keys.old[0].valid_until == NOW
    assert keys.old[0].valid_from == first.valid_from
    assert names(open_digest_keys(tmp_path)) == names(keys)
    assert [key.fingerprint for key in keys.listed(NOW + timedelta(1), ALWAYS[1])] == []
    before = (ALWAYS[0], first.valid_from - timedelta(seconds=1))
    assert keys.listed(*before) == []
    for name in (DIGESTS, OLD):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {DIGESTS, OLD}, "nothing is left of it"


def test_there_is_a_bound_on_old_keys(keys):
    keys.old = (keys.signer.described,) * OLD_MAX
    with pytest.raises(ServiceError, match="no room"):
        keys.rotate(NOW)


def is_step(folder, event, arguments):
    return event in STEPS and str(folder) in str(arguments[0])


def test_kill_9_before_each_step_leaves_one_whole_key(tmp_path):
    before, after, step = 0, 0, 0
    (tmp_path / "made").mkdir()
    was = open_digest_keys(tmp_path / "made").signer.fingerprint
    while True:
        folder = shutil.copytree(tmp_path / "made", tmp_path / str(step))
        rotate = partial(open_digest_keys(folder).rotate, NOW)
        if not killed(rotate, step, partial(is_step, folder)):
            break
        found = open_digest_keys(folder)
        assert was in names(found)
        assert len(set(names(found))) == len(names(found))
        assert found.signer.sign(b"x")
        if found.signer.fingerprint == was:
            before += 1
            assert found.old == ()
        else:
            after += 1
            assert [key.fingerprint for key in found.old] == [was]
        step += 1
    assert before >= 4
    assert after >= 1
