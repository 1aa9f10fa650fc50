"""The lattice's laws, and the markings of three schemes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel.labels import scheme as schemes
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import MarkingError, Scheme, SchemeError, load

US, NATO, FRANCE = load("us"), load("nato"), load("france")


@st.composite
def markings(draw: st.DrawFn, scheme: Scheme) -> str:
    """A marking that a person could write."""
    level = draw(st.integers(0, len(scheme.levels) - 1))
    fitting = [
        each
        for each in scheme.categories
        if not each.own_only and (not each.least or scheme.levels.index(each.least) <= level)
    ]
    words = (
        draw(st.lists(st.sampled_from([c.mark for c in fitting]), unique=True, max_size=4))
        if fitting
        else []
    )
    nations = draw(st.lists(st.sampled_from(list(scheme.nations)), unique=True, max_size=3))
    text = "//".join([scheme.levels[level], *words])
    if draw(st.booleans()):
        text += f"//{scheme.release} {' '.join([scheme.own, *nations])}"
    return text


def labels(scheme: Scheme) -> st.SearchStrategy[Label]:
    return markings(scheme).map(scheme.parse)


schemes_drawn = st.sampled_from([US, NATO, FRANCE])
triples = schemes_drawn.flatmap(lambda s: st.tuples(labels(s), labels(s), labels(s)))


@given(triples)
def test_dominance_is_a_partial_order(abc: tuple[Label, Label, Label]) -> None:
    a, b, c = abc
    assert a.dominates(a)
    assert not (a.dominates(b) and b.dominates(a)) or a == b
    assert not (a.dominates(b) and b.dominates(c)) or a.dominates(c)


@given(triples)
def test_join_is_the_least_upper_and_meet_the_greatest_lower_bound(
    abc: tuple[Label, Label, Label],
) -> None:
    a, b, c = abc
    join, meet = a.join(b), a.meet(b)
    assert join.dominates(a)
    assert join.dominates(b)
    assert join == b.join(a)
    assert a.dominates(meet)
    assert b.dominates(meet)
    assert not (c.dominates(a) and c.dominates(b)) or c.dominates(join)
    assert not (a.dominates(c) and b.dominates(c)) or meet.dominates(c)


@given(triples)
def test_every_label_that_can_come_about_has_a_marking(abc: tuple[Label, Label, Label]) -> None:
    a, b, c = abc
    for label in (a, a.join(b), a.join(b).join(c), a.meet(b)):
        assert label.scheme.parse(label.text) == label


@pytest.mark.parametrize(
    ("scheme", "written", "canonical"),
    [
        (US, "UNCLASSIFIED", "U"),
        (US, "cui", "CUI"),
        (US, "TOP SECRET//SI/TK//NOFORN", "TS//SI/TK//NOFORN"),
        (US, "TS//TK/SI-G//ORCON/NF", "TS//SI-G/TK//ORCON/NOFORN"),
        (US, "S//REL TO USA, GBR, AUS", "S//REL TO USA AUS GBR"),
        (US, "S//REL TO USA, FVEY", "S//REL TO USA AUS CAN GBR NZL"),
        (US, "S//REL TO FVEY", "S//REL TO USA AUS CAN GBR NZL"),
        (US, "S//REL TO USA", "S"),
        (US, "CUI//SP-HLTH/FED ONLY", "CUI//SP-HLTH//FED ONLY"),
        (NATO, "COSMIC TOP SECRET//ATOMAL", "CTS//ATOMAL"),
        (NATO, "NS//RELEASABLE TO NATO, AUS", "NS//RELEASABLE TO NATO AUS"),
        (FRANCE, "Diffusion Restreinte", "DR"),
        (FRANCE, "TRÈS SECRET//Spécial France", "TS//SF"),
        (FRANCE, "Secret // COMMUNICABLE À FRA, DEU", "S//COMMUNICABLE A FRA DEU"),
    ],
)
def test_a_marking_has_one_canonical_form(scheme: Scheme, written: str, canonical: str) -> None:
    assert scheme.parse(written).text == canonical
    assert str(scheme.parse(canonical)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", "//", "X", "S//", "S//NOPE", "U//SI", "CUI//TK", "S//REL TO", "S//REL TO GBR",
        "S//REL TO USA XYZ", "S//NOFORN//REL TO USA GBR", "S//REL TO USA//REL TO USA GBR",
        "S" * 2000, "S//SI//", "S\x00",
    ],
)  # fmt: skip
def test_what_is_no_marking_is_refused(text: str) -> None:
    with pytest.raises(MarkingError):
        US.parse(text)


@given(st.text(max_size=64))
def test_any_text_is_a_marking_or_is_refused(text: str) -> None:
    for scheme in (US, NATO, FRANCE):
        try:
            label = scheme.parse(text)
        except MarkingError:
            continue
        assert scheme.parse(label.text) == label


def test_a_national_sees_what_no_foreigner_may() -> None:
    national, liaison = US.clearance("TS//SI"), US.clearance("TS//SI//REL TO USA GBR")
    for text in ("S//NOFORN", "S", "TS//SI", "S//REL TO USA FRA"):
        assert national.dominates(US.parse(text)), text
        assert not liaison.dominates(US.parse(text)), text
    assert liaison.dominates(US.parse("S//REL TO USA GBR NZL"))
    assert not national.dominates(US.parse("S//TK"))
    assert US.clearance("U").dominates(US.parse("U"))


def test_releasability_is_cut_down_by_combining() -> None:
    join = US.parse("S//REL TO USA GBR FRA").join(US.parse("C//REL TO USA GBR DEU"))
    assert join.text == "S//REL TO USA GBR"
    assert join.join(US.parse("S//REL TO USA DEU")).text == "S"
    assert join.join(US.parse("U")).text == "S//REL TO USA GBR"


def test_labels_of_two_schemes_do_not_meet() -> None:
    with pytest.raises(ValueError, match="two schemes"):
        US.parse("S").dominates(FRANCE.parse("S"))


def test_a_site_brings_its_own_scheme(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'name = "Lab"\nown = "LAB"\nwithheld_from = "inner"\n'
        '[[level]]\nmark = "open"\n[[level]]\nmark = "inner"\n'
        '[[category]]\nmark = "HERON"\nkind = "programme"\n'
    )
    scheme = load("", own)
    assert scheme.parse("INNER//heron").text == "inner//HERON"
    assert not scheme.parse("inner").dominates(scheme.parse("open//HERON"))


BASE = 'name = "x"\nown = "X"\nwithheld_from = "a"\n[[level]]\nmark = "a"\n'
CATEGORY = '[[category]]\nmark = "c"\n'


@pytest.mark.parametrize(
    "text",
    [
        "name = 1",
        BASE.replace('from = "a"', 'from = "b"'),
        BASE + '[[level]]\nmark = "b"\nnames = ["A"]\n',
        BASE + CATEGORY + 'kind = "control"\nwithin = "c"\n',
        BASE + CATEGORY + 'kind = "control"\nwithin = "d"\n',
        BASE + CATEGORY + 'kind = "other"\n',
    ],
)
def test_a_scheme_that_cannot_be_is_refused(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(SchemeError):
        load("", own)


def test_the_packaged_schemes_are_all_there() -> None:
    with pytest.raises(SchemeError, match="us, nato, france"):
        load("klingon")
    assert [load(name).name for name in schemes.PACKAGED] == ["US", "NATO", "France"]
