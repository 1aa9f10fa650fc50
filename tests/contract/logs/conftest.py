"""The operations of logs and metrics, and the sinks, on one database."""

import pytest
from tests.labels_kit import in_use, labelling

from bastide.kernel.clock import ManualClock
from bastide.logs.events import LogEvents
from bastide.logs.groups import LogGroups
from bastide.logs.lookup import Facts
from bastide.logs.metrics import Metrics
from bastide.logs.sink import LogSink, MetricSink
from bastide.logs.streams import LogStreams


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def api(database, clock):
    labels = in_use(database)
    held = {"database": database, "labels": labels, "clock": clock}

    class Api:
        groups = LogGroups(**held, labelling=labelling())
        streams = LogStreams(**held)
        events = LogEvents(**held)
        sink = LogSink(**held)
        metric_sink = MetricSink(**held)
        metrics = Metrics(**held, sink=metric_sink)
        facts = Facts(database=database, labels=labels)

    return Api
