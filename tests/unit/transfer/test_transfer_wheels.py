"""What an environment is built of: pinned, and plain whatever its digest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transfer_kit import Held
from tests.unit.transfer.test_transfer_filters import through
from tests.unsafe_wheels import SDISTS, WHEELS, script, sdist, wheel

from bastide.environments import locks_folder
from bastide.transfer.filters import pins, sdist_format, wheel_format
from bastide.transfer.filters.model import BadItem

NUMPY = "sklearn/numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl"
SOURCE = "sklearn/sagemaker_training-5.1.4.tar.gz"


def as_if_pinned(data: bytes) -> str:
    """The filters behind the pins: what a wheel would meet if its digest were in the lock."""
    view = memoryview(data)
    meaning = wheel_format.parse_a(view)
    assert wheel_format.parse_b(view) == meaning
    wheel_format.scan(view)
    return meaning


def refused(held: Held, why: str) -> None:
    with pytest.raises(BadItem, match=why):
        through(held)


@pytest.mark.parametrize("name", WHEELS)
def test_an_unsafe_wheel_does_not_pass(name):
    with pytest.raises(BadItem):
        through(Held(NUMPY, WHEELS[name], kind="environment"))


@pytest.mark.parametrize("name", WHEELS)
def test_nor_would_it_if_a_lock_named_it(name):
    with pytest.raises(BadItem):
        as_if_pinned(WHEELS[name])


@pytest.mark.parametrize("name", SDISTS)
def test_an_unsafe_source_does_not_pass_either(name):
    with pytest.raises(BadItem):
        through(Held(SOURCE, SDISTS[name], kind="environment"))
    with pytest.raises(BadItem):
        sdist_format.parse_a(memoryview(SDISTS[name]))


def test_there_are_more_than_thirty_of_them():
    assert len(set(WHEELS.values())) >= 31


def test_a_plain_one_would_pass_if_a_lock_named_it():
    assert as_if_pinned(wheel()) != as_if_pinned(script(b"#!python\nx = 1\n"))
    view = memoryview(sdist())
    assert sdist_format.parse_a(view) == sdist_format.parse_b(view)


@pytest.mark.parametrize(("name", "data"), [(NUMPY, wheel()), (SOURCE, sdist())])
def test_a_plain_one_that_the_lock_does_not_name_does_not_pass(name, data):
    refused(Held(name, data, kind="environment"), "not what this region's lock names")


@pytest.mark.parametrize("name", [
    "sklearn/numpy-2.4.5-py3-none-any.whl", "sklearn/evil-1.0-py3-none-any.whl",
])  # fmt: skip
def test_a_distribution_that_the_lock_does_not_name_does_not_pass(name):
    refused(Held(name, wheel(), kind="environment"), "lock does not name it")


@pytest.mark.parametrize(("name", "why"), [
    ("other/numpy-2.4.6-py3-none-any.whl", "no lock of"),
    ("../sklearn/numpy-2.4.6-py3-none-any.whl", "its name is none"),
    ("numpy-2.4.6-py3-none-any.whl", "its name is none"),
    ("sklearn/numpy.whl", "neither a wheel"),
    ("sklearn/numpy-2.4.6.zip", "its type is none"),
    ("sklearn/notes.txt", "its type is none"),
])  # fmt: skip
def test_what_is_no_file_of_an_environment_does_not_pass(name, why):
    data = sdist() if name.endswith(".gz") else wheel()
    refused(Held(name, data, kind="environment"), why)


def test_nothing_is_said_of_such_a_file():
    refused(Held(NUMPY, wheel(), kind="environment", tags={"a": "b"}), "something is said of it")
    refused(Held(NUMPY, wheel(), kind="environment", provenance={"a": "b"}), "something is said")


@pytest.mark.parametrize("kind", ["object", "model"])
def test_a_wheel_is_no_object_and_no_weights(kind):
    refused(Held(NUMPY, wheel(), kind=kind), "its type is none")


def test_the_lock_is_read_as_it_is_written():
    found = pins.pins("sklearn")
    text = (locks_folder() / "sklearn.txt").read_text()
    assert sum(map(len, found.values())) == text.count("--hash=sha256:")
    assert all(found.values())
    assert ("scikit-learn", "1.9.1") in found


def test_a_wheel_for_a_later_zip_than_pythons_is_refused():
    data = bytearray(wheel())
    data[data.index(b"PK\x01\x02") + 6] = 64  # the version of zip that it takes, by ten: 6.4
    with pytest.raises(BadItem, match="more of zip"):
        wheel_format.parse_a(memoryview(bytes(data)))


@given(at=st.integers(0, len(wheel()) - 1), value=st.integers(0, 255))
def test_whatever_becomes_of_a_wheel_is_told_by_bad_item_alone(at, value):
    """And where our reader takes it, Python's takes it for the same."""
    data = bytearray(wheel())
    data[at] = value
    try:
        meaning = wheel_format.parse_a(memoryview(bytes(data)))
    except BadItem:
        return
    assert wheel_format.parse_b(memoryview(bytes(data))) == meaning


@given(data=st.binary(max_size=600))
def test_whatever_a_source_is_is_told_by_bad_item_alone(data):
    for parse in (sdist_format.parse_a, sdist_format.parse_b):
        with pytest.raises(BadItem):
            parse(memoryview(data))
