"""Figures of the region's own work never fail the work."""

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import Unavailable
from bastide.logs.sink import FLUSH_AFTER_S, MetricSink


class Away:
    def submit(self, work):
        raise Unavailable("The database is closed.")


def test_what_was_done_is_done_whether_or_not_its_figures_are_kept(caplog):
    clock = ManualClock()
    sink = MetricSink(database=Away(), clock=clock)
    clock.advance(FLUSH_AFTER_S + 1)
    sink.put("1", "AWS/SageMaker", "Invocations", {}, 1.0, clock.now())
    assert "1 samples of metrics are lost: The database is closed." in caplog.text
