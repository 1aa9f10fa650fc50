"""A filter that was taken over takes nothing of its region's but its own turn."""

import os
import tracemalloc

import pytest
from tests.transfer_kit import (
    HIGH,
    LOW,
    UID_FIRST,
    Held,
    gate_of,
    made,
    sent,
    taken_over,
    took,
    trusting,
)

from bastide.transfer.model import Refused


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A region, and a bundle that came into it."""
    folder = tmp_path_factory.mktemp("line")
    low, high = gate_of(folder / "low", LOW, "U"), gate_of(folder / "high", HIGH, "S")
    trusting(high, low)
    trusting(low, high)
    bundle = made(low, Held("a.txt", b"words"), Held("config.json", b'{"a": 1}'))
    sent(low, bundle, folder / "spool")
    took(high, folder / "spool")
    return high, high.named(bundle.digest)


SPOIL = """
import os
for one in (0, *map(int, sys.argv[2:5])):
    try:
        os.close(os.open(f"/proc/self/fd/{one}", os.O_RDWR | os.O_TRUNC))
    except PermissionError:
        continue
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root for uids")
@pytest.mark.parametrize("was_the_filters", [False, True])
def test_a_filter_that_was_taken_over_spoils_nothing_that_it_is_given(
    line, tmp_path, was_the_filters
):
    """Else it would refuse all, for ever: with its key, all that it ever said is gone."""
    high, bundle = line
    key = tmp_path / "line" / "keys" / "types.seed"
    if was_the_filters:
        key.parent.mkdir(parents=True)
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        os.chown(key, UID_FIRST, UID_FIRST)
    list(taken_over(high.line, tmp_path, ["types"], SPOIL).run(bundle, high.rules(bundle)))
    assert key.stat().st_size == 32
    assert key.stat().st_uid == os.getuid()


ENDLESS = """
import os
block = b"x" * (1 << 20)
for _ in range(256):
    os.write(2, block)
"""
LONG = "import os\nos.ftruncate(int(sys.argv[3]), 8 << 20)\nos._exit(0)"
MANY = """
import msgspec
task, key = (open(int(sys.argv[n]), "rb").read() for n in (2, 4))
task = msgspec.json.decode(task, type=real.Task)
seen = real._seen(task.items, "0" * 64)
told = real.Told(filter="types", bundle=task.bundle, previous="", saw=seen, emitted=seen,
                 items=task.items, verdict="refused", why=["w" * 900] * 1000)
body = msgspec.json.encode(told)
sign = real.Ed25519PrivateKey.from_private_bytes(key).sign
with open(int(sys.argv[3]), "wb") as says:
    says.write(body + b"\\n" + sign(body).hex().encode() + b"\\n")
sys.exit(0)
"""


def test_a_filter_that_was_taken_over_takes_no_memory_of_its_region(line, tmp_path, monkeypatch):
    """All that it says, on whatever way, is bounded: by what it may write, and what is read."""
    high, bundle = line
    monkeypatch.setattr("bastide.transfer.line.SAID_BYTES_MAX", 1 << 20)
    tracemalloc.start()
    try:
        for code, why in ((ENDLESS, "died"), (LONG, "more than"), (MANY, "filter types: www")):
            checks = taken_over(high.line, tmp_path, ["types"], code)
            with pytest.raises(Refused, match=why) as refused:
                list(checks.run(bundle, high.rules(bundle)))
            assert len(str(refused.value)) < 30_000
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


CROWD = """
import os, signal, time
room = os.statvfs("/dev/shm")
if room.f_blocks * room.f_frsize > 1 << 30:
    sys.exit("it may fill the memory")
born = []
try:
    while len(born) < 1000:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        born.append(child)
except BlockingIOError:
    pass
for child in born:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
if len(born) == 1000:
    sys.exit("it may have any number of children")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root for uids")
def test_a_filter_that_was_taken_over_has_few_children_and_little_memory_of_the_hosts(
    line, tmp_path
):
    high, bundle = line
    list(taken_over(high.line, tmp_path, ["scan"], CROWD).run(bundle, high.rules(bundle)))
