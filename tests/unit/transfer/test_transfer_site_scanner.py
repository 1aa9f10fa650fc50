"""A site's own scanner: what its status means, and that it sees one item."""

import pytest
from tests.transfer_kit import SCHEME, Held

from bastide.app.transfer import _patterns, _scanner
from bastide.settings import RegionSettings, Rules, SettingsError, TransferSettings
from bastide.transfer.filters import site_scanner, words
from bastide.transfer.filters.model import BadItem

FINDS_WORMS = ("/bin/sh", "-c", 'grep -q worm "$0"; test $? = 1')


def test_it_decides_by_its_status():
    site_scanner.scan(FINDS_WORMS, 600, memoryview(b"an apple"))
    with pytest.raises(BadItem, match="found something"):
        site_scanner.scan(FINDS_WORMS, 600, memoryview(b"a worm"))


def test_without_one_nothing_is_started():
    site_scanner.scan((), 600, memoryview(b"a worm"))


@pytest.mark.parametrize(("command", "timeout_s", "why"), [
    (("/bin/sh", "-c", "exit 2"), 600, "failed with status 2"),
    (("/bin/sh", "-c", "kill -9 $$"), 600, "failed with status -9"),
    (("/absent",), 600, "FileNotFoundError"),
    (("/usr/bin/tail", "-f", "/dev/null"), 0.2, "TimeoutExpired"),
])  # fmt: skip
def test_what_else_becomes_of_it_is_a_refusal(command, timeout_s, why):
    with pytest.raises(BadItem, match=why):
        site_scanner.scan(command, timeout_s, memoryview(b"an apple"))


def test_it_is_told_of_no_other_descriptor():
    with open(__file__) as other:
        look = ("/bin/sh", "-c", f"test -e /proc/self/fd/{other.fileno()}; test $? = 1")
        site_scanner.scan(look, 600, memoryview(b""))


@pytest.mark.parametrize("settings", [
    {"scanner": ["clamscan"]}, {"scanner": ["/absent"]},
    {"scanner": ["/bin/sh"], "scanner_reads": ["/absent"]},
])  # fmt: skip
def test_a_scanner_that_is_not_there_is_a_reason_not_to_start(settings):
    with pytest.raises(SettingsError, match="is not there"):
        _scanner(TransferSettings(**settings))


def test_a_sites_pattern_is_found_in_every_view_of_a_text():
    look = words.made(SCHEME, (), (r"\bstaff-\d{4}\b",))
    for text in ("see Staff-1234.", "see c3RhZmYtMTIzNCBhbmQgc28="):
        item, _ = Held("a.txt", b"").open()
        with pytest.raises(BadItem, match="a pattern of this region's"):
            look.check(item, memoryview(text.encode()))
    look.check(item, memoryview(b"staff-12345"))


@pytest.mark.parametrize("line", ["(", r"(a)\1", "a*", "(?=a)b"])
def test_a_pattern_that_cannot_be_is_a_reason_not_to_start(tmp_path, line):
    path = tmp_path / "patterns"
    path.write_text(f"fine\n\n{line}\n")
    with pytest.raises(SettingsError, match="dirty_patterns"):
        _patterns(str(path), ruled(path))
    path.write_text("fine\n")
    fine = ruled(path)
    assert _patterns(str(path), fine) == ("fine",)
    path.unlink()
    with pytest.raises(SettingsError, match="dirty_patterns"):
        _patterns(str(path), fine)


def ruled(path):
    """What the region's rules say of the list."""
    gate = TransferSettings(dirty_patterns=str(path))
    return Rules.of(RegionSettings(transfer=gate)).transfer.dirty_patterns_sha256
