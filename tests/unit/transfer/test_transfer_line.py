"""The line as a whole, in its real cages: only what every filter passed, in order, is released."""

import contextlib
import os
import re
import select
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.transfer_kit import (
    HIGH,
    LOW,
    UID_FIRST,
    Crowd,
    Held,
    Put,
    gate_of,
    made,
    sent,
    taken_over,
    took,
    trusting,
)  # fmt: skip
from tests.unsafe_models import GOOD, gguf, held, tensor

from bastide.jobs.cage import Walls
from bastide.kernel import labels
from bastide.transfer.filters.model import LINE, SchemeSource, Told
from bastide.transfer.gate import agreed
from bastide.transfer.line import Line, Scanner
from bastide.transfer.model import Refused
from bastide.transfer.releases import Asked, Target

TARGET = Target(account="123456789012", bucket="kept", prefix="in/")
TWO = Asked(2, "down")


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A region in which a good bundle has passed the line."""
    folder = tmp_path_factory.mktemp("line")
    low, high = gate_of(folder / "low", LOW, "U"), gate_of(folder / "high", HIGH, "S")
    trusting(high, low)
    trusting(low, high)
    sources = [held(GOOD[name]) for name in ("safetensors", "gguf", "jsonl", "csv", "text")]
    bundle = made(low, *sources, Held("config.json", b'{"a": 1}'), Held("none.txt", b""))
    sent(low, bundle, folder / "spool")
    took(high, folder / "spool")
    bundle = high.named(bundle.digest)
    list(high.line.run(bundle, high.rules(bundle)))
    return high, bundle


@pytest.fixture
def copy(line, tmp_path):
    """A copy of what the line left, to do harm to."""
    high, bundle = line
    shutil.copytree(high.line.folder, tmp_path / "line")
    return Line(folder=tmp_path / "line", walls=high.line.walls), bundle


def said(line, bundle, number):
    return line.folder / bundle.digest / f"{number}-{LINE[number]}.said"


def test_a_good_bundle_passes_and_is_written_anew(line):
    high, bundle = line
    passed = high.line.passed(bundle)
    data = passed.data.read_bytes()
    assert sha256(data).hexdigest() == passed.told.emitted.data
    by_name = {item.name: item for item in passed.told.items}
    assert by_name["config.json"].size == len(b'{"a":1}')
    assert [item.name for item in passed.told.items] == [
        item.name for item in bundle.statement.predicate.items
    ]


def test_each_filter_has_a_key_of_its_own_that_only_the_region_finds(line):
    high, _ = line
    keys = [high.line.folder / "keys" / f"{name}.seed" for name in LINE]
    assert len({path.read_bytes() for path in keys}) == len(LINE)
    assert {path.stat().st_uid for path in keys} == {os.getuid()}
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root for uids")
def test_each_filter_runs_as_a_user_of_its_own(line, tmp_path):
    """As the host sees it: each is held up until its processes were looked at."""
    high, bundle = line
    mark, seen = f"# {tmp_path}", {}
    halt = f"import os {mark}\nos.write(60, sys.argv[1].encode())\nos.read(61, 1)"
    with TemporaryDirectory() as place, ThreadPoolExecutor(1) as executor:
        os.chmod(place, 0o755)
        here, on = (pipe(Path(place, name)) for name in ("here", "on"))
        opened = f"60>{place}/here 61<{place}/on"
        running = executor.submit(
            list,
            taken_over(high.line, tmp_path, LINE, halt, opened).run(bundle, high.rules(bundle)),
        )
        try:
            for _ in LINE:
                assert select.select([here], [], [], 300)[0], running
                name = os.read(here, 100).decode()
                seen[name] = users_of(mark, name)
                os.write(on, b"x")
        finally:
            os.write(on, b"x" * len(LINE))
        running.result()
        os.close(here)
        os.close(on)
    assert seen == {name: {UID_FIRST + number} for number, name in enumerate(LINE)}


def pipe(path):
    os.mkfifo(path)
    path.chmod(0o666)
    return os.open(path, os.O_RDWR)


def users_of(mark, name):
    """The user ids of all processes of a filter: real, effective, saved and for files."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended since
            words = (process / "cmdline").read_text(errors="replace")
            if mark in words and f"\0{name}\0" in words:
                (line,) = re.findall("Uid:(.*)", (process / "status").read_text())
                found |= set(map(int, line.split()))
    return found


@pytest.mark.parametrize("number", range(len(LINE)))
def test_a_filter_that_is_left_out_is_missed(copy, number):
    line, bundle = copy
    said(line, bundle, number).unlink()
    with pytest.raises(Refused, match="6 of 7 filters"):
        line.passed(bundle)


@pytest.mark.parametrize("number", range(len(LINE) - 1))
def test_two_filters_that_changed_places_are_found(copy, number):
    line, bundle = copy
    one, other = said(line, bundle, number), said(line, bundle, number + 1)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(Refused, match="signature does not hold"):
        line.passed(bundle)


@pytest.mark.parametrize("number", range(len(LINE)))
def test_words_that_were_changed_are_found(copy, number):
    line, bundle = copy
    path = said(line, bundle, number)
    path.write_bytes(path.read_bytes().replace(b'"why":[]', b'"why":["x"]'))
    with pytest.raises(Refused, match="signature does not hold"):
        line.passed(bundle)


@pytest.mark.parametrize("number", range(len(LINE)))
def test_a_filter_that_speaks_of_something_else_breaks_the_chain(copy, number):
    """Truly signed by its own key: a corrupted filter, not a forger."""
    for field, value in (
        ("filter", "other"),
        ("bundle", "0" * 64),
        ("previous", "0" * 64),
        ("verdict", "refused"),
        ("meanings", []),
        ("items", []),
    ):
        line, bundle = copy
        told = restated(line, bundle, number, {field: value})
        with pytest.raises(Refused):
            line.passed(bundle)
        resigned(line, bundle, number, told)
    line.passed(bundle)


@pytest.mark.parametrize("number", range(len(LINE)))
def test_a_filter_that_saw_or_emitted_something_else_breaks_the_chain(copy, number):
    line, bundle = copy
    told = Told(**fields_of(line, bundle, number))
    other = msgspec.structs.replace(told.saw, data="0" * 64)
    for field in ("saw", "emitted"):
        before = restated(line, bundle, number, {field: other})
        with pytest.raises(Refused):
            line.passed(bundle)
        resigned(line, bundle, number, before)


@pytest.mark.parametrize("name", ["parser-a", "parser-b", "re-encode", "scan", "label"])
def test_parsers_that_disagree_are_found(copy, name):
    line, bundle = copy
    number = LINE.index(name)
    meanings = Told(**fields_of(line, bundle, number)).meanings
    restated(line, bundle, number, {"meanings": ["0" * 64, *meanings[1:]]})
    relinked(line, bundle, number)
    with pytest.raises(Refused, match="understood the items differently"):
        line.passed(bundle)


def test_what_was_written_anew_and_then_changed_is_found(copy):
    line, bundle = copy
    data = line.passed(bundle).data
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    with pytest.raises(Refused, match="not what the filters passed"):
        line.passed(bundle)


def test_the_words_about_one_bundle_do_not_serve_another(line, copy, tmp_path):
    copied, bundle = copy
    low = gate_of(tmp_path / "low", LOW, "U", seed=9)
    other = made(low, Held("a.txt", b"x"))
    shutil.move(copied.folder / bundle.digest, copied.folder / other.digest)
    with pytest.raises(Refused, match="said of something else"):
        copied.passed(other)


@pytest.mark.parametrize("name", LINE)
def test_a_filter_that_is_killed_has_refused(line, tmp_path, name):
    high, bundle = line
    killer = tmp_path / "bwrap"
    killer.write_text(
        f'#!/bin/sh\ncase "$*" in *" {name} "*) kill -9 $$;; esac\n'
        f'exec {high.line.walls.bwrap} "$@"\n'
    )
    killer.chmod(0o755)
    walls = replace(high.line.walls, bwrap=str(killer))
    line = Line(folder=tmp_path / "line", walls=walls)
    with pytest.raises(Refused, match=f"filter {name} died"):
        list(line.run(bundle, high.rules(bundle)))
    assert f"filter {name} died" in line.refusal(bundle.digest)
    nothing_passes(line, bundle, "of 7 filters have spoken")


def test_without_bubblewrap_no_filter_runs(line, tmp_path):
    high, bundle = line
    bare = Line(folder=tmp_path / "line", walls=Walls(bwrap=None, seccomp=None, uid_first=None))
    with pytest.raises(Refused, match="no bubblewrap"):
        list(bare.run(bundle, high.rules(bundle)))


@pytest.mark.parametrize("filter_", ["types", "label"])
@pytest.mark.parametrize(
    ("label", "ceilings", "why"),
    [("S", ("U", "S"), "above"), ("u", ("U", "S"), "canonical"), ("ULTRA", ("U", "S"), "none")],
)
def test_labels_are_checked_at_both_ends(line, tmp_path, filter_, label, ceilings, why):
    """By the last filter, too, where the first has been taken over."""
    high, _ = line
    checks = high.line
    if filter_ == "label":
        checks = taken_over(checks, tmp_path, ["types"], SAYS["types"])
    bundle = made(gate_of(tmp_path / "low", LOW), Held("a.txt", b"x", label=label))
    rules = replace(high.rules(line[1]), ceilings=ceilings)
    with pytest.raises(Refused, match=f"filter {filter_}: item 0: .*{why}"):
        list(checks.run(bundle, rules))


# A re-encode that was taken over goes to work on other items than it was given, and repeats what
# the parsers had said of those.
OTHER_ITEMS = """
honest = real._rewritten
def lying(name, task, data):
    given = list(real._items(task, data))
    pairs = changed([(item, bytes(view)) for item, view in given])
    items = [with_(item, size=len(content)) for item, content in pairs]
    content = memoryview(b"".join(content for _, content in pairs))
    told = honest(name, with_(task, items=items), content)
    said = [formats.of(item).a(view) for item, view in given] + told.meanings
    seen = real._seen(task.items, sha256(data).hexdigest())
    return with_(told, saw=seen, meanings=said[:len(items)])
real._rewritten = lying
def changed(pairs):
    a, same = pairs[0]
    return """
LIES = {
    "relabel": ("[(with_(a, label='U'), same), *pairs[1:]]", "said of the items changed"),
    "rename": ("[(with_(a, name='z.txt'), same), *pairs[1:]]", "said of the items changed"),
    "retag": ("[(with_(a, tags={'k': 'v'}), same), *pairs[1:]]", "said of the items changed"),
    "reorder": ("[pairs[1], pairs[0], pairs[2]]", "said of the items changed"),
    "swap": ("[(a, b'else'), *pairs[1:]]", "understood the items differently"),
    "drop": ("pairs[:2]", "understood the items differently"),
    "add": ("[*pairs, (with_(a, name='z.txt'), b'more')]", "understood the items differently"),
    "spaces": ("re_spaced(pairs)", "filter scan: item 2: it is not written as"),
}
SPACED = """
def re_spaced(pairs):
    table = formats.FORMATS
    table[".json"] = replace(table[".json"], rebuild=lambda view, write: write(b'{"a":  1}'))
    return pairs
"""


@pytest.mark.parametrize("lie", LIES)
def test_a_re_encode_that_was_taken_over_passes_nothing(line, tmp_path, lie):
    """Relabelled, renamed, exchanged, dropped, added or in another order: all else is honest."""
    high, _ = line
    change, why = LIES[lie]
    code = SPACED + OTHER_ITEMS + change
    lying = taken_over(high.line, tmp_path, ["re-encode"], code)
    items = Held("a.txt", b"same", label="S"), Held("b.txt", b"same", label="S")
    bundle = made(gate_of(tmp_path / "low", LOW, "S"), *items, Held("c.json", b'{ "a": 1 }'))
    with pytest.raises(Refused, match=why):
        list(lying.run(bundle, replace(high.rules(line[1]), ceilings=("S", "S"))))
    nothing_passes(lying, bundle)


# A filter that was taken over, passes what it was to refuse, and says what another would.
SAYS = {
    "types": "real._look = lambda name, task: lambda item, view: formats.of(item).name",
    "parser-a": "real._look = lambda name, task: lambda item, view: formats.of(item).b(view)",
    "parser-b": "real._look = lambda name, task: lambda item, view: formats.of(item).a(view)",
}
LONG_NAME = gguf(tensors=[tensor("n" * 64)])  # llama.cpp takes 63


@pytest.mark.parametrize(("name", "source", "why"), [
    ("types", Held("a.txt", b"#!/bin/sh\nid\n"), "filter scan: item 0: it does not begin"),
    ("parser-a", Held("a.json", b'{"a":1,"a":2}'), "filter re-encode: item 0: it is no plain"),
    ("parser-b", Held("m.gguf", LONG_NAME), "filter label: item 0: llama.cpp refuses it"),
])  # fmt: skip
def test_what_one_filter_was_made_to_pass_another_stops(line, tmp_path, name, source, why):
    high, bundle = line
    lying = taken_over(high.line, tmp_path, [name], SAYS[name])
    passed = made(gate_of(tmp_path / "low", LOW), source)
    with pytest.raises(Refused, match=why):
        list(lying.run(passed, high.rules(bundle)))
    nothing_passes(lying, passed)


def nothing_passes(line, bundle, why=None):
    """Not even once the refusal itself is gone."""
    (line.folder / bundle.digest / "refused").unlink()
    with pytest.raises(Refused, match=why):
        line.passed(bundle)


def test_a_sites_scanner_sees_each_item_in_its_cage_and_nothing_else(line, tmp_path):
    """It finds the third item alone; it may read what the site names, and no key."""
    high, bundle = line
    place = tmp_path / "named"
    place.mkdir()
    (place / "signatures").write_text("worm")
    looks = 'grep -q worm "$1" && exit 1; cat "$0/signatures" && ! cat /proc/$PPID/environ'
    scanner = Scanner(command=("/bin/sh", "-c", looks, str(place)), reads=(str(place),))
    items = Held("a.txt", b"apple"), Held("b.txt", b"pear"), Held("c.txt", b"a worm")
    checks = Line(folder=tmp_path / "line", walls=high.line.walls)
    rules = replace(high.rules(bundle), scanner=scanner)
    low = gate_of(tmp_path / "low", LOW)
    with pytest.raises(Refused) as refused:
        list(checks.run(made(low, *items), rules))
    assert str(refused.value) == "filter scan: item 2: the site's scanner found something in it"


def test_the_filters_know_a_sites_own_scheme(line):
    high, bundle = line
    text = (Path(labels.__file__).parent / "schemes" / "nato.toml").read_text()
    source = SchemeSource(name="own.toml", text=text)
    rules = replace(high.rules(bundle), scheme=source, ceilings=("NU", "NS"))
    low = gate_of(high.line.folder / "own", LOW, "U", seed=6)
    *_, last = high.line.run(made(low, Held("a.txt", b"x", label="NU")), rules)
    assert last["done"] == len(LINE) - 1


def test_it_is_released_once_and_only_as_two_people_approved(line, tmp_path):
    high, bundle = line
    crowd, put = Crowd(people=["ann"]), Put()
    releases = replace(
        high.releases, folder=tmp_path / "released", shelves=put, agree=agreeing(crowd)
    )
    with pytest.raises(Refused, match="2 people"):
        list(releases.release(bundle, TARGET, TWO))
    assert put.items == {}
    crowd.people.append("bob")
    other = msgspec.structs.replace(TARGET, bucket="other")
    *_, last = releases.release(bundle, TARGET, TWO)
    assert last["released"].people == ["ann", "bob"]
    assert put.items["kept/in/config.json"] == b'{"a":1}'
    assert put.items["kept/in/none.txt"] == b""
    assert crowd.asked[0] == crowd.used[0]
    assert crowd.asked[0].facts["direction"] == "down"
    with pytest.raises(Refused, match="released before"):
        list(releases.release(bundle, other, TWO))


def test_a_release_that_was_cut_short_goes_on_under_its_agreement(line, tmp_path):
    high, bundle = line
    crowd, put = Crowd(), Put()
    releases = replace(
        high.releases, folder=tmp_path / "released", shelves=put, agree=agreeing(crowd)
    )
    steps = releases.release(bundle, TARGET, TWO)
    next(steps)
    steps.close()
    crowd.people.clear()
    with pytest.raises(Refused, match="another place has begun"):
        list(releases.release(bundle, msgspec.structs.replace(TARGET, prefix="x"), TWO))
    list(releases.release(bundle, TARGET, TWO))
    assert len(crowd.used) == 1
    assert len(put.items) == len(bundle.statement.predicate.items)


def agreeing(crowd):
    return partial(agreed, crowd)


def fields_of(line, bundle, number):
    body = said(line, bundle, number).read_bytes().partition(b"\n")[0]
    told = msgspec.json.decode(body, type=Told)
    return {name: getattr(told, name) for name in told.__struct_fields__}


def restated(line, bundle, number, changes):
    """A filter says something else, truly signed; answers what it had said."""
    fields = fields_of(line, bundle, number)
    resigned(line, bundle, number, Told(**(fields | changes)))
    return Told(**fields)


def resigned(line, bundle, number, told):
    seed = (line.folder / "keys" / f"{LINE[number]}.seed").read_bytes()
    body = msgspec.json.encode(told)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(body).hex().encode()
    said(line, bundle, number).write_bytes(body + b"\n" + signature + b"\n")


def relinked(line, bundle, number):
    """Let all later filters have heard what this one says now."""
    for later in range(number + 1, len(LINE)):
        heard = sha256(said(line, bundle, later - 1).read_bytes()).hexdigest()
        restated(line, bundle, later, {"previous": heard})
