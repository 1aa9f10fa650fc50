"""The collector does not look through what the start left."""

import gc

from bastide.app.region import settle_memory


def test_what_is_there_at_the_start_is_frozen():
    kept = [[number] for number in range(10_000)]
    before = gc.get_threshold()
    try:
        settle_memory()
        assert gc.get_freeze_count() > len(kept)
        assert len(gc.get_objects()) < len(kept)
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
