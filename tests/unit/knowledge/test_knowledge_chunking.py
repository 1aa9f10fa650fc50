"""Pieces by every strategy: bounds, overlaps, whole sentences, parents, and turns of meaning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError
from bastide.knowledge.chunking import check_chunking, pieces, windows
from bastide.knowledge.reading import Unreadable

TEXT = " ".join(f"Sentence number {n} ends here." for n in range(60))


def fixed(size, share):
    return {
        "chunkingStrategy": "FIXED_SIZE",
        "fixedSizeChunkingConfiguration": {"maxTokens": size, "overlapPercentage": share},
    }


def never(texts):
    raise AssertionError("nothing is embedded to split by size")


def cut(text, wanted, embed=never):
    return list(pieces(text, (0, len(text)), wanted, embed))


def words(texts):
    """Texts of one first letter are alike, others have nothing in common."""
    return np.array([[float(t[0] == letter) for letter in "ABC"] for t in texts], np.float32)


def test_pieces_end_with_sentences_and_overlap():
    found = [TEXT[p.start : p.end] for p in cut(TEXT, fixed(30, 20))]
    assert len(found) > 5
    assert all(piece.endswith(".") for piece in found)
    starts = [p.start for p in cut(TEXT, fixed(30, 20))]
    ends = [p.end for p in cut(TEXT, fixed(30, 20))]
    assert all(start < end for start, end in zip(starts[1:], ends[:-1], strict=True))


@given(st.text(alphabet="ab .\n!", max_size=300), st.integers(1, 20), st.integers(0, 19))
def test_windows_leave_nothing_out_and_keep_their_bound(text, size, overlap):
    covered = [False] * len(text)
    for start, end in windows(text, (0, len(text)), size, overlap):
        assert start < end
        covered[start:end] = [True] * (end - start)
    assert all(covered[at] for at, letter in enumerate(text) if not letter.isspace())


def test_by_default_pieces_have_about_three_hundred_tokens():
    found = cut(TEXT * 4, {})
    assert 2 < len(found) < 12


def test_none_is_the_whole_document():
    (piece,) = cut(f"  {TEXT}\n", {"chunkingStrategy": "NONE"})
    assert (piece.start, piece.end) == (2, 2 + len(TEXT))


def test_children_lie_within_their_parents():
    wanted = {
        "chunkingStrategy": "HIERARCHICAL",
        "hierarchicalChunkingConfiguration": {
            "levelConfigurations": [{"maxTokens": 80}, {"maxTokens": 20}],
            "overlapTokens": 5,
        },
    }
    found = cut(TEXT, wanted)
    assert len({p.parent for p in found}) > 3
    assert all(p.parent[0] <= p.start < p.end <= p.parent[1] for p in found)


def test_semantic_pieces_break_where_the_meaning_turns():
    text = "A one. A two. A three. B one. B two. C one. C two."
    wanted = {
        "chunkingStrategy": "SEMANTIC",
        "semanticChunkingConfiguration": {
            "maxTokens": 100,
            "bufferSize": 0,
            "breakpointPercentileThreshold": 70,
        },
    }
    found = [text[p.start : p.end] for p in cut(text, wanted, words)]
    assert found == ["A one. A two. A three.", "B one. B two.", "C one. C two."]
    alike = "A one. A two. A three."
    assert [alike[p.start : p.end] for p in cut(alike, wanted, words)] == [alike]


def test_a_hostile_run_of_signs_is_read_once():
    """Not once for each of them: it is read in the region's own process, where all wait."""
    text = "." * 500_000 + "x"
    semantic = {"maxTokens": 8192, "bufferSize": 0, "breakpointPercentileThreshold": 70}
    wanted = {"chunkingStrategy": "SEMANTIC", "semanticChunkingConfiguration": semantic}
    found = cut(text, wanted, words)
    assert (found[0].start, found[-1].end) == (0, len(text))
    with pytest.raises(Unreadable, match="sentences"):
        cut("!x" * 500_000, wanted, words)


def test_a_strategy_without_its_configuration_is_refused():
    for wanted in (
        {"chunkingStrategy": "FIXED_SIZE"},
        {"chunkingStrategy": "NONE", "fixedSizeChunkingConfiguration": {}},
        {
            "chunkingStrategy": "HIERARCHICAL",
            "hierarchicalChunkingConfiguration": {
                "levelConfigurations": [{"maxTokens": 20}, {"maxTokens": 80}],
                "overlapTokens": 5,
            },
        },
    ):
        with pytest.raises(ServiceError, match="ValidationException"):
            check_chunking(wanted)
