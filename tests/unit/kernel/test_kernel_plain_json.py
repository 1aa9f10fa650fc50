"""What of JSON is refused wherever strangers send it."""

import json

import pytest

from bastide.kernel.plain_json import check_depth, finite


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="out of range"):
        json.loads(value, parse_float=finite, parse_constant=finite)


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("inside", ["1", "[]", '"["'])
def test_levels_are_of_what_holds_something(begin, end, inside):
    held = 2 if inside == "[]" else 3
    check_depth(json.loads(begin * held + inside + end * held), 3)
    with pytest.raises(ValueError, match="deeper than 3 levels"):
        check_depth(json.loads(begin * (held + 1) + inside + end * (held + 1)), 3)


@pytest.mark.parametrize("value", ["[[[[", 7, None])
def test_what_holds_nothing_is_not_deep(value):
    check_depth(value, 1)
