"""The nearest by codes are the nearest, whatever the vectors are like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.knowledge.index.vectors import coded, cosines, nearest


def units(random, count, dimensions, kind):
    made = random.standard_normal((count, dimensions))
    if kind == "spiky":
        made **= 5
    if kind == "alike":
        made = made[:1] + 1e-3 * made
    if kind == "few":
        made = made[random.integers(0, 3, count)]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    if kind == "holes":
        made[::3] = 0
    return made.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["plain", "spiky", "alike", "few", "holes"]),
    dimensions=st.sampled_from([1, 2, 7, 64, 384]),
    wanted=st.integers(1, 40),
)
def test_none_of_the_nearest_is_missing(seed, kind, dimensions, wanted):
    random = np.random.default_rng(seed)
    rows = units(random, 300, dimensions, kind)
    allowed = random.random(300) < 0.7
    vector = units(random, 1, dimensions, "plain")[0]
    found = nearest(coded(rows), vector, allowed, wanted)
    assert allowed[found].all()
    exact = np.where(allowed, rows.astype(np.float64) @ vector, -9)
    last = np.sort(exact)[-min(wanted, int(allowed.sum()))]
    assert set(np.flatnonzero(exact > last)) <= set(found.tolist())
    assert (exact[found] >= last).sum() >= min(wanted, int(allowed.sum()))


def test_few_are_compared_in_full():
    random = np.random.default_rng(1)
    rows, vector = units(random, 20_000, 384, "plain"), units(random, 1, 384, "plain")[0]
    found = nearest(coded(rows), vector, np.ones(20_000, bool), 10)
    assert 10 <= len(found) < 1_000


@pytest.mark.parametrize("beside", [0, 1, 5, 1_000])
def test_a_row_scores_alike_whatever_is_beside_it(beside):
    random = np.random.default_rng(2)
    rows, vector = units(random, 1_001, 384, "plain"), units(random, 1, 384, "plain")[0]
    alone = cosines(rows, np.array([500]), vector)[0]
    chosen = np.unique(np.append(np.arange(beside), 500))
    assert cosines(rows, chosen, vector)[np.flatnonzero(chosen == 500)[0]] == alone
