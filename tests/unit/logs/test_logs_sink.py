"""Figures of the region's own work never fail the work."""

import pytest
from tests.labels_kit import US

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import Unavailable
from bastide.kernel.labels.view import View
from bastide.logs import metric_records
from bastide.logs.sink import FLUSH_AFTER_S, MetricSink


class Labels:
    def at(self, marking):
        return View(US.parse(marking), (marking,))


class Away:
    def submit(self, work):
        raise Unavailable("The database is closed.")


def test_what_was_done_is_done_whether_or_not_its_figures_are_kept(caplog):
    clock = ManualClock()
    sink = MetricSink(database=Away(), labels=Labels(), clock=clock)
    clock.advance(FLUSH_AFTER_S + 1)
    sink.put("1", "U", "AWS/SageMaker", "Invocations", {}, 1.0, clock.now())
    assert "1 samples of metrics are lost: The database is closed." in caplog.text


class Refusing:
    refuses = True

    def write(self, work):
        if self.refuses:
            raise Unavailable("The disk is full.")
        work(None)


def test_figures_that_a_reader_could_not_have_written_are_kept(monkeypatch):
    kept = []
    monkeypatch.setattr(metric_records, "add", lambda _c, samples: kept.extend(samples))
    clock, database = ManualClock(), Refusing()
    sink = MetricSink(
        database=database, labels=Labels(), clock=clock, _flushed_s=clock.monotonic_s()
    )
    sink.put("1", "U", "N", "m", {}, 1.0, clock.now())
    with pytest.raises(Unavailable):
        sink.flush()
    sink.put("1", "U", "N", "m", {}, 2.0, clock.now())
    database.refuses = False
    sink.flush()
    assert [(sample.count, sample.total) for sample in kept] == [(2, 3.0)]
