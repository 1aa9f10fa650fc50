"""A nation's or an alliance's classification markings, from a TOML file, and labels from them.

A marking is a level, then groups of words between `//`: `TS//SI/TK//ORCON/REL TO USA GBR`. What
is stored is the canonical text, never bits: a scheme file may gain words at any place. Between
nations stands a space, as AWS's tags know no comma; a comma is read too.

Source of the US forms: https://www.dni.gov/files/documents/ICD/ICD_710.pdf and 32 CFR 2002 (CUI).
"""

import importlib.resources
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec

from bastide.kernel.labels.label import Label

TEXT_MAX = 1_024
_PARSED_MAX = 4_096
Kind = Literal["compartment", "programme", "control"]


class SchemeError(Exception):
    """A scheme file cannot be used; the text says why."""


class MarkingError(ValueError):
    """A text is no marking of its scheme; the text says why."""


class Level(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`mark` is how it is written; `names` are also read."""

    mark: str
    names: list[str] = []


class Category(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A compartment, programme or control. `least`: the lowest level that it goes with. `within`:
    the category that it implies. `own_only`: nobody but the scheme's own nation may see it."""

    mark: str
    kind: Kind
    names: list[str] = []
    least: str = ""
    within: str = ""
    own_only: bool = False


class SchemeFile(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a scheme file says. Levels are from low to high. From the level `withheld_from` on,
    what names no nations is for `own` alone; below it, for all."""

    name: str
    own: str
    withheld_from: str
    level: list[Level]
    release: str = "REL TO"
    category: list[Category] = []
    nations: list[str] = []
    groups: dict[str, list[str]] = {}


def _folded(word: str) -> str:
    """A word as it is looked up: accents, case and runs of spaces do not matter."""
    plain = unicodedata.normalize("NFKD", word)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(plain.upper().split())


class Scheme:
    """Labels from markings and markings from labels. `said`: the file, in one spelling."""

    def __init__(self, file: SchemeFile) -> None:
        self.said = msgspec.json.encode(file, order="deterministic").decode()
        self.name = file.name
        self.own = file.own
        self.levels = tuple(level.mark for level in file.level)
        self.categories = tuple(file.category)
        self.nations = tuple(nation for nation in file.nations if nation != file.own)
        self.release = _folded(file.release)
        self._level_of = _index((level.mark, level.names) for level in file.level)
        self._category_of = _index((each.mark, each.names) for each in file.category)
        self._bit_of = {each.mark: 1 << n for n, each in enumerate(file.category)}
        self._nation_bits = {
            nation: 1 << (len(file.category) + n) for n, nation in enumerate(self.nations)
        }
        self._groups = file.groups
        self._withheld = sum(self._nation_bits.values())
        self._withheld_from = self._level(file.withheld_from)
        self._own_only = sum(self._bit_of[c.mark] for c in file.category if c.own_only)
        self._implied = {each.mark: self._implied_by(each) for each in file.category}
        self._least = {each.mark: self._level(each.least) for each in file.category if each.least}
        self._parsed: dict[str, Label] = {}
        self._formatted: dict[tuple[int, int], str] = {}

    def __repr__(self) -> str:
        return f"Scheme({self.name!r})"

    @property
    def lowest(self) -> Label:
        """What everybody may see."""
        return Label(self, 0, 0)

    def parse(self, text: str) -> Label:
        """The label of a marking of data. Raises MarkingError."""
        found = self._parsed.get(text)
        if found is None:
            found = self._read(text)
            if len(self._parsed) >= _PARSED_MAX:
                self._parsed.clear()
            self._parsed[text] = found
        return found

    def clearance(self, text: str) -> Label:
        """The label up to which a person may see, or a region may hold. Who names no nations is
        of the scheme's own, and may see what is withheld from all others."""
        label = self.parse(text)
        if self._names_nations(text):
            return label
        return Label(self, label.level, label.categories | self._own_only | self._withheld)

    def least(self, markings: Sequence[str]) -> Label:
        """The lowest of some markings, or one of the lowest."""
        labels = [self.parse(text) for text in markings]
        return min(labels, key=lambda each: (each.level, each.categories.bit_count()))

    def format(self, label: Label) -> str:
        """The canonical marking of a label."""
        key = (label.level, label.categories)
        found = self._formatted.get(key)
        if found is None:
            found = self._written(label)
            if len(self._formatted) >= _PARSED_MAX:
                self._formatted.clear()
            self._formatted[key] = found
        return found

    def spelled(self, label: Label) -> tuple[list[str], list[str]]:
        """The marks of a label's categories, and the nations that it is withheld from."""
        held = [mark for mark, bit in self._bit_of.items() if label.categories & bit]
        kept = [name for name, bit in self._nation_bits.items() if label.categories & bit]
        return held, kept

    def _read(self, text: str) -> Label:
        if len(text) > TEXT_MAX:
            raise MarkingError(f"A marking has at most {TEXT_MAX} characters.")
        first, *groups = text.split("//")
        level = self._level(first)
        categories, released = 0, None
        for word in (word for group in groups for word in group.split("/")):
            nations = self._nations(word)
            if nations is None:
                categories |= self._category(word, level)
            elif released is not None:
                raise MarkingError(f"{text!r} names nations twice.")
            else:
                released = nations
        if released is not None and categories & self._own_only:
            raise MarkingError(f"{text!r} is for {self.own} alone and for others too.")
        return Label(self, level, categories | self._kept_from(level, categories, released))

    def _level(self, word: str) -> int:
        mark = self._level_of.get(_folded(word))
        if mark is None:
            known = ", ".join(self.levels)
            raise MarkingError(f"{word[:64]!r} is no level of {self.name}: {known}.")
        return self.levels.index(mark)

    def _category(self, word: str, level: int) -> int:
        mark = self._category_of.get(_folded(word))
        if mark is None:
            raise MarkingError(f"{word[:64]!r} is no word of {self.name}'s markings.")
        least = self._least.get(mark, 0)
        if level < least:
            raise MarkingError(f"{mark} goes with {self.levels[least]} or above.")
        return self._bit_of[mark] | self._implied[mark]

    def _names_nations(self, text: str) -> bool:
        words = re.split("//?", text)[1:]
        return any(_folded(word).startswith(self.release + " ") for word in words)

    def _nations(self, word: str) -> int | None:
        """The bits of the nations of a release list; None for another word."""
        folded = _folded(word.replace(",", " "))
        if not folded.startswith(self.release + " "):
            return None
        named = folded.removeprefix(self.release).split()
        if named[0] != self.own and self.own not in self._groups.get(named[0], []):
            raise MarkingError(f"A list of nations begins with {self.own}.")
        bits = 0
        for name in named:
            for nation in self._groups.get(name, [name]):
                if nation != self.own and nation not in self._nation_bits:
                    raise MarkingError(f"{nation[:64]!r} is no nation of {self.name}'s scheme.")
                bits |= self._nation_bits.get(nation, 0)
        return bits

    def _kept_from(self, level: int, categories: int, released: int | None) -> int:
        """The bits of the nations that the data is withheld from."""
        if categories & self._own_only:
            return self._withheld
        if released is not None:
            return self._withheld & ~released
        return self._withheld if level >= self._withheld_from else 0

    def _implied_by(self, category: Category) -> int:
        bits, at = 0, category
        for _ in self.categories:
            if not at.within:
                return bits
            if at.within not in self._bit_of:
                raise SchemeError(f"{at.mark} is within {at.within}, which is no category.")
            bits |= self._bit_of[at.within]
            at = next(each for each in self.categories if each.mark == at.within)
        if at.within:
            raise SchemeError(f"{category.mark} is within itself.")
        return bits

    def _written(self, label: Label) -> str:
        held = [c for c in self.categories if label.categories & self._bit_of[c.mark]]
        inner = {each.within for each in held}
        groups = [
            [each.mark for each in held if each.kind == kind and each.mark not in inner]
            for kind in get_args(Kind)
        ]
        groups[-1] += self._release_words(label)
        return "//".join([self.levels[label.level], *("/".join(g) for g in groups if g)])

    def _release_words(self, label: Label) -> Sequence[str]:
        withheld = label.categories & self._withheld
        plain = self._kept_from(label.level, label.categories & self._own_only, None)
        if withheld == plain:
            return ()
        free = [name for name, bit in self._nation_bits.items() if not withheld & bit]
        return (" ".join([self.release, self.own, *free]),)


def _index(words: Iterable[tuple[str, Sequence[str]]]) -> Mapping[str, str]:
    """From every way to write a word to its mark. Raises SchemeError where two words are alike."""
    found: dict[str, str] = {}
    for mark, names in words:
        for name in (mark, *names):
            if found.setdefault(_folded(name), mark) != mark:
                raise SchemeError(f"{name} means both {found[_folded(name)]} and {mark}.")
    return found


PACKAGED = ("us", "nato", "france")


def text_of(name: str, site_file: Path | None = None) -> str:
    """What the file of the scheme `us`, `nato` or `france` says, or a site's own. Raises
    SchemeError."""
    if site_file is not None:
        return site_file.read_text()
    if name not in PACKAGED:
        raise SchemeError(f"{name!r} is no scheme: {', '.join(PACKAGED)}, or a site's own file.")
    folder = importlib.resources.files("bastide.kernel.labels").joinpath("schemes")
    return folder.joinpath(f"{name}.toml").read_text()


def read(text: str, source: object) -> Scheme:
    """The scheme that a file says. Raises SchemeError."""
    try:
        return Scheme(msgspec.convert(tomllib.loads(text), SchemeFile))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, MarkingError) as error:
        raise SchemeError(f"The scheme {source}: {error}") from error


def load(name: str, site_file: Path | None = None) -> Scheme:
    return read(text_of(name, site_file), site_file or name)
