"""An operation that is implemented is named in a test that calls it through its whole context."""

import re
from pathlib import Path

from botocore import xform_name
from tests.registry import ask_region

from bastide.kernel.receipts import INFERENCES

TESTS = Path(__file__).parents[1]
COUNTS = {"bedrock-mantle.CountMessageTokens", "bedrock-runtime.CountTokens"}  # no inference


def test_every_operation_has_a_test(tmp_path):
    handled = ask_region(tmp_path, lambda region: set(region.gateway.handlers))
    files = [path for kind in ("service", "contract") for path in (TESTS / kind).rglob("test_*.py")]
    words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in files)))
    names = {operation: operation.partition(".")[2] for operation in handled}
    untested = {
        operation for operation, name in names.items() if words.isdisjoint({name, xform_name(name)})
    }
    assert len(handled) > 100  # they were found
    assert not untested, "name it in a test under tests/service or tests/contract"


def test_every_inference_has_a_receipt_when_its_end_is_lost(tmp_path):
    """What drafts a receipt when it ends well is known to have one when nobody saw its end."""

    def drafting(region):
        methods = {name: each.method for name, each in region.gateway.handlers.items()}
        drafts = ("receipts", "talk", "vectors")  # of its own, or of what it asks
        return {
            name
            for name, each in methods.items()
            if any(hasattr(each.__self__, word) for word in drafts)
        }

    assert ask_region(tmp_path, drafting) - COUNTS == INFERENCES
