"""Container images at the gate: one form, two readers that agree, and nothing else passes."""

import os
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transfer_kit import Held
from tests.unit.transfer.test_transfer_filters import through
from tests.unsafe_images import IMAGES, PLAIN, chained, tree

from bastide.environments import carried
from bastide.environments.catalogue import Environments
from bastide.transfer.filters import image_format
from bastide.transfer.filters.image_format import Run, told
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import Refused
from bastide.transfer.releases import Target
from bastide.transfer.shelving import Shelving

NAME = "registry.example/team/mine:1"
RUN = Run(digest="sha256:" + "a" * 64, env={"B": "2", "A": "1"}, entrypoint=("/bin/sh",),
          workdir="/srv")  # fmt: skip
WORDS = ["Project Aurora"]


def image(data, name=NAME, provenance=None, **more):
    provenance = told(RUN) if provenance is None else provenance
    return Held(name, data, kind="image", provenance=provenance, **more)


def test_a_plain_image_passes_as_it_is():
    assert through(image(tree()), WORDS) == tree()
    found = list(carried.entries(memoryview(tree())))
    assert [(one.name, one.kind, one.link) for one in found] == [
        (one.name, one.kind, one.link) for one in PLAIN
    ]


@pytest.mark.parametrize("name", IMAGES)
def test_an_unsafe_image_does_not_pass(name):
    with pytest.raises(BadItem):
        through(image(IMAGES[name]), WORDS)


def test_there_are_more_than_sixty_of_them():
    assert len(set(IMAGES.values())) > 60


@given(at=st.integers(0, len(tree()) - 1), bit=st.integers(0, 7))
def test_what_was_changed_in_one_bit_is_another_image_or_none(at, bit):
    data = bytearray(tree())
    data[at] ^= 1 << bit
    try:
        meaning = image_format.parse_a(memoryview(bytes(data)))
    except BadItem:
        return
    assert meaning != image_format.parse_a(memoryview(tree()))
    assert meaning == image_format.parse_b(memoryview(bytes(data)))


@pytest.mark.parametrize("name", [
    "sklearn", "../x/y:1", "/x/y", "x/y/", "x//y", "registry.example/UPPER:1", "x/y:1\n", "x/y z",
])  # fmt: skip
def test_a_name_that_is_no_image_s(name):
    with pytest.raises(BadItem, match="its name is none"):
        through(image(tree(), name=name))


@pytest.mark.parametrize("change", [
    {"digest": "sha256:x"}, {"digest": ""}, {"env": '{"A": "1"}'}, {"env": '{"A":1}'},
    {"env": '["A"]'}, {"env": "{"}, {"env": '{"A":"1","A":"2"}'}, {"env": '{"A":"\\u0000"}'},
    {"entrypoint": '"/bin/sh"'}, {"entrypoint": '["/bin/sh", "x"]'}, {"entrypoint": "[1]"},
    {"workdir": "srv"}, {"workdir": "/srv/../.."}, {"workdir": ""}, {"user": "root"},
])  # fmt: skip
def test_what_is_said_of_an_image_in_another_way(change):
    with pytest.raises(BadItem):
        through(image(tree(), provenance=told(RUN) | change))


def test_more_is_said_of_an_image():
    with pytest.raises(BadItem, match="something is said"):
        through(image(tree(), tags={"a": "b"}))
    with pytest.raises(BadItem, match="not what is said of an image"):
        through(image(tree(), provenance={}))


def test_a_dirty_word_in_what_is_said():
    run = told(RUN) | {"env": '{"A":"Project Aurora"}'}
    with pytest.raises(BadItem, match="word of this region"):
        through(image(tree(), provenance=run), WORDS)


def test_an_image_is_no_object():
    with pytest.raises(BadItem, match="its type is none"):
        through(Held(NAME, tree()))


def test_what_was_unpacked_is_packed_to_the_same_bytes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    assert carried.unpack(memoryview(tree()), first) == sum(one.size for one in PLAIN)
    data = b"".join(carried.packed(first))
    assert data == tree()
    second.mkdir()
    carried.unpack(memoryview(data), second)
    assert (second / "bin/sh").stat().st_mode & 0o7777 == 0o755
    assert os.readlink(second / "lib") == "/usr/lib"


@pytest.mark.parametrize("make", [
    lambda path: os.mkfifo(path / "pipe"),
    lambda path: (path / "out").symlink_to("../out"),
    lambda path: (path / "a\nb").touch(),
    lambda path: (path / os.fsdecode(b"\xff")).touch(),
    lambda path: (path / ".wh.x").touch(),
])  # fmt: skip
def test_a_tree_that_cannot_be_carried(tmp_path, make):
    make(tmp_path)
    with pytest.raises(carried.NotPlain):
        b"".join(carried.packed(tmp_path))


TARGET = Target(account="", bucket="", prefix="")


def shelving(folder):
    environments = Environments(folder=folder / "environments", locks={})
    return Shelving(
        carrying=None, models=None, environments=environments, setting_up=None,
        folder=folder / "weights",
    )  # fmt: skip


def item_of(data=None, name=NAME):
    data = tree() if data is None else data
    made, _ = image(data, name).open()
    return msgspec.structs.replace(made, sha256=sha256(data).hexdigest())


def released(shelves, item, data):
    plan = shelves.check(TARGET, [item], None)
    shelves.put(TARGET, item, iter([data[:9], data[9:]]))
    list(shelves.finish(TARGET, [item], None, plan))
    return plan


def test_a_released_image_serves_its_name(tmp_path):
    shelves, item = shelving(tmp_path), item_of()
    (said,) = released(shelves, item, tree())
    assert said == (
        f"register the container image {NAME} of {item.size} bytes, sha256:{item.sha256}, "
        f"made of the image {RUN.digest} as its sender says, which starts "
        '["/bin/sh"] in "/srv" with {"A":"1","B":"2"}'
    )
    made = shelves.environments.for_image(NAME)
    assert made.digest == f"sha256:{item.sha256}"
    assert (made.env, made.entrypoint, made.workdir) == (RUN.env, RUN.entrypoint, RUN.workdir)
    assert (made.root / "etc/motd").read_bytes() == b"words "
    assert (made.root / "srv").is_dir()
    assert list((tmp_path / "weights").iterdir()) == []
    assert released(shelves, item, tree())  # as one that a crash cut short goes on


def test_what_an_image_takes_the_place_of_is_said(tmp_path):
    shelves, first = shelving(tmp_path), item_of()
    released(shelves, first, tree())
    other = chained(*PLAIN[:4])
    (said,) = released(shelves, item_of(other), other)
    assert f", in the place of sha256:{first.sha256}, which starts " in said
    assert not (shelves.environments.for_image(NAME).root / "lib").exists()


@pytest.mark.parametrize(("other", "words"), [
    ({"entrypoint": ("/bin/sh", "-c", "/in/x")}, '["/bin/sh","-c","/in/x"]'),
    ({"env": {"LD_PRELOAD": "/in/x.so"}}, '{"LD_PRELOAD":"/in/x.so"}'),
    ({"workdir": "/in"}, 'in "/in"'),
])  # fmt: skip
def test_the_same_tree_that_starts_otherwise_is_another_action(tmp_path, other, words):
    """The digest that people compare is the tree's: what runs of it must be said beside it."""
    shelves, plans = shelving(tmp_path), []
    for run in (RUN, msgspec.structs.replace(RUN, **other)):
        item, _ = image(tree(), provenance=told(run)).open()
        item = msgspec.structs.replace(item, sha256=sha256(tree()).hexdigest())
        plans += shelves.check(TARGET, [item], None)
    assert words not in plans[0]
    assert words in plans[1]


def test_a_digest_that_only_begins_as_another_is_another_image(tmp_path):
    """64 bits are found twice in an hour: one who sends two images must not swap them."""
    environments = Environments(folder=tmp_path / "environments", locks={})
    for number, data in enumerate((tree(), chained(*PLAIN[:4]))):
        path, name = tmp_path / f"{number}.tar", "r.example/" + "x" * 40 + f":{number}"
        path.write_bytes(data)
        list(environments.take_carried(path, name, f"{'a' * 16}{number:048}", RUN))
        assert (environments.for_image(name).root / "lib").exists() == (number == 0)


def test_an_image_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(Refused, match="an image twice"):
        shelving(tmp_path).check(TARGET, [item_of(), item_of(chained(*PLAIN[:4]))], None)


def test_a_released_tree_that_is_no_image_is_refused(tmp_path):
    data = IMAGES["a_link_that_leads_out"]
    with pytest.raises(Refused, match="cannot be registered: a link in it leads out"):
        released(shelving(tmp_path), item_of(data), data)
