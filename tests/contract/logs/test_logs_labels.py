"""What a lower session sees of logs and metrics is what it would see without higher ones."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.labels_kit import US, at
from tests.sagefakes import ONE
from tests.sagefakes import call as call_at_u

from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import ServiceError

HERE = {"logGroupName": "/g", "logStreamName": "s"}


def call(marking="U", operation="logs.X"):
    plain = call_at_u(operation)
    return replace(plain, principal=replace(plain.principal, **at(marking)))


@pytest.fixture
def there(api):
    """A group and a stream at U."""
    api.groups.create_log_group(call(), {"logGroupName": "/g"})
    api.streams.create_log_stream(call(), HERE)


def put(api, clock, marking, text, where=HERE):
    event = {"timestamp": epoch_ms(clock.now()), "message": text}
    return api.events.put_log_events(call(marking), {**where, "logEvents": [event]})


def seen(api, marking):
    """All that a session can learn of the group `/g`."""
    low = call(marking, "logs.FilterLogEvents")
    return [
        api.groups.describe_log_groups(low, {}),
        api.streams.describe_log_streams(low, {"logGroupName": "/g"}),
        api.streams.describe_log_streams(low, {"logGroupName": "/g", "orderBy": "LastEventTime"}),
        api.events.get_log_events(low, HERE),
        api.events.filter_log_events(low, {"logGroupName": "/g", "limit": 1}),
        api.groups.list_tags_log_group(low, {"logGroupName": "/g"}),
    ]


def test_what_is_above_changes_nothing_below(api, there, clock):
    put(api, clock, "U", "low")
    put(api, clock, "U", "low too")
    before = seen(api, "U")
    api.streams.create_log_stream(call("S"), {**HERE, "logStreamName": "high"})
    put(api, clock, "S", "hidden", {**HERE, "logStreamName": "high"})
    api.groups.create_log_group(call("S"), {"logGroupName": "/high"})
    api.sink.put(ONE, "S", "/g", "s", [(epoch_ms(clock.now()), "of a job")])
    assert seen(api, "U") == before
    put(api, clock, "U", "later")
    (token,) = {each["nextForwardToken"] for each in [api.events.get_log_events(call(), HERE)]}
    assert token != before[3]["nextForwardToken"]
    texts = [e["message"] for e in api.events.get_log_events(call(), HERE)["events"]]
    assert texts == ["low", "low too", "later"]
    assert seen(api, "S") != before


def test_tokens_and_ids_count_what_is_seen_alone(api, there, clock):
    """In one run others write between: what a token says of the place is the same."""
    put(api, clock, "U", "one")
    for number in range(3):
        api.sink.put(ONE, "S", "/other", "s", [(epoch_ms(clock.now()), str(number))])
    put(api, clock, "U", "two")
    found = api.events.filter_log_events(call(), {"logGroupName": "/g"})["events"]
    assert [int(each["eventId"][-20:]) for each in found] == [1, 2]
    assert {len(each["eventId"]) for each in found} == {56}


def test_names_are_each_label_s_own(api, there, clock):
    put(api, clock, "U", "low")
    api.groups.create_log_group(call("S"), {"logGroupName": "/new"})
    api.groups.create_log_group(call(), {"logGroupName": "/new"})  # nothing is in its way
    names = [g["logGroupName"] for g in api.groups.describe_log_groups(call("S"), {})["logGroups"]]
    assert names == ["/g", "/new"]
    api.sink.put(ONE, "S", "/g", "s", [(epoch_ms(clock.now()), "high")])
    texts = [e["message"] for e in api.events.get_log_events(call("S"), HERE)["events"]]
    assert texts == ["high"]
    streams = api.streams.describe_log_streams(call("S"), {"logGroupName": "/g"})["logStreams"]
    assert [each["logStreamName"] for each in streams] == ["s"]


@pytest.mark.parametrize("marking", ["S", "TS"])
def test_what_is_lower_is_read_and_not_changed(api, there, clock, marking):
    put(api, clock, "U", "low")
    assert len(api.events.get_log_events(call(marking), HERE)["events"]) == 1
    group = {"logGroupName": "/g"}
    for change, request in (
        (api.groups.delete_log_group, group),
        (api.groups.put_retention_policy, {**group, "retentionInDays": 1}),
        (api.groups.delete_retention_policy, group),
        (api.groups.tag_log_group, {**group, "tags": {"a": "b"}}),
        (api.groups.untag_log_group, {**group, "tags": ["a"]}),
        (api.streams.delete_log_stream, HERE),
    ):
        with pytest.raises(ServiceError, match="AccessDeniedException"):
            change(call(marking), request)
    with pytest.raises(ServiceError, match="AccessDeniedException"):
        put(api, clock, marking, "down")


def test_what_is_above_is_not_there(api, there, clock):
    api.sink.put(ONE, "S", "/high", "s", [(epoch_ms(clock.now()), "x")])
    for group in ("/high", "/nowhere"):
        where = {**HERE, "logGroupName": group}
        for ask in (api.events.get_log_events, api.streams.delete_log_stream):
            with pytest.raises(ServiceError) as refused:
                ask(call(), where)
            told = (refused.value.code, refused.value.message)
            assert told == ("ResourceNotFoundException", "The specified log group does not exist.")


def test_a_group_goes_on_for_those_who_see_lines_in_it(api, there, clock):
    put(api, clock, "U", "low")
    for marking in ("S", "TS"):
        api.sink.put(ONE, marking, "/g", marking, [(epoch_ms(clock.now()), "high")])
    api.groups.delete_log_group(call(), {"logGroupName": "/g"})
    assert api.groups.describe_log_groups(call(), {})["logGroups"] == []
    streams = api.streams.describe_log_streams(call("TS"), {"logGroupName": "/g"})["logStreams"]
    assert [each["logStreamName"] for each in streams] == ["S", "TS"]
    api.groups.delete_log_group(call("S"), {"logGroupName": "/g"})
    api.groups.delete_log_group(call("TS"), {"logGroupName": "/g"})
    assert api.groups.describe_log_groups(call("TS"), {})["logGroups"] == []


def test_a_group_is_made_at_the_session_s_label(api):
    tagged = {"logGroupName": "/g", "tags": {"bastide:label": "S"}}
    with pytest.raises(ServiceError, match="UnsupportedOperation"):
        api.groups.create_log_group(call(), tagged)
    with pytest.raises(ServiceError, match="AccessDenied"):
        api.groups.create_log_group(call("TS"), tagged)
    api.groups.create_log_group(call("S"), tagged)
    group = {"logGroupName": "/g"}
    assert api.groups.list_tags_log_group(call("S"), group)["tags"] == tagged["tags"]
    with pytest.raises(ServiceError, match="UnsupportedOperation"):
        api.groups.tag_log_group(call("S"), {**group, "tags": {"bastide:label": "TS"}})


def test_policies_are_told_the_label_that_the_session_sees(api, there, clock):
    arn = f"arn:aws-us-gov:logs:us-gov-west-1:{ONE}:log-group:/g"
    api.sink.put(ONE, "S", "/g", "s", [(epoch_ms(clock.now()), "high")])
    api.groups.tag_log_group(call(), {"logGroupName": "/g", "tags": {"a": "b"}})

    def label(marking, resource):
        return api.facts.label(call(marking).principal, resource, None)

    assert label("U", arn) == label("S", arn) == US.parse("U")
    assert label("U", f"{arn}:log-stream:s") == US.parse("U")
    assert label("S", f"{arn}:log-stream:s") == US.parse("S")
    assert label("S", f"{arn}:log-stream:none") is None
    assert label("S", f"{arn}x") is None
    assert api.facts.tags(call("S").principal, f"{arn}:log-stream:s", None) == {"a": "b"}


def test_metrics_are_of_a_label(api, clock):
    datum = {"Namespace": "N", "MetricData": [{"MetricName": "m", "Value": 1.0}]}
    api.metrics.put_metric_data(call(), datum)
    above = {"Namespace": "N", "MetricData": [{"MetricName": "high", "Value": 1.0}]}
    for more in (datum, above):
        api.metrics.put_metric_data(call("S"), more)
    api.metric_sink.put(ONE, "TS", "N", "m", {}, 5.0, clock.now())
    api.metric_sink.put(ONE, "U", "N", "m", {}, 1.0, clock.now())

    def total(marking):
        span = {"StartTime": clock.now() - timedelta(hours=1),
                "EndTime": clock.now() + timedelta(hours=1)}  # fmt: skip
        got = api.metrics.get_metric_statistics(call(marking), {
            **span, "Namespace": "N", "MetricName": "m", "Period": 60, "Statistics": ["Sum"],
        })  # fmt: skip
        return sum(point["Sum"] for point in got["Datapoints"])

    def names(marking):
        listed = api.metrics.list_metrics(call(marking), {})["Metrics"]
        return [each["MetricName"] for each in listed]

    assert [total(marking) for marking in ("U", "S", "TS")] == [2.0, 3.0, 8.0]
    assert names("U") == ["m"]
    assert names("S") == names("TS") == ["high", "m"]
