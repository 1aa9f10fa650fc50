"""Log groups, streams, events and metrics on both databases."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from tests.sagefakes import ONE, OTHER, call

from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.logs import patterns

HERE = {"logGroupName": "/g", "logStreamName": "s"}


@pytest.fixture
def stream(api):
    api.groups.create_log_group(call(), {"logGroupName": "/g"})
    api.streams.create_log_stream(call(), HERE)
    return HERE


def put(api, *lines, at=0, clock):
    now = epoch_ms(clock.now()) + at
    events = [{"timestamp": now + number, "message": text} for number, text in enumerate(lines)]
    return api.events.put_log_events(call("logs.PutLogEvents"), {**HERE, "logEvents": events})


def texts(answer):
    return [event["message"] for event in answer["events"]]


def test_put_and_get(api, stream, clock):
    put(api, "a", "b", "c", clock=clock)
    got = api.events.get_log_events(call(), {**HERE, "startFromHead": True})
    assert texts(got) == ["a", "b", "c"]
    again = api.events.get_log_events(call(), {**HERE, "nextToken": got["nextForwardToken"]})
    assert again["events"] == []
    assert again["nextForwardToken"] == got["nextForwardToken"]
    put(api, "d", at=10, clock=clock)
    more = api.events.get_log_events(call(), {**HERE, "nextToken": again["nextForwardToken"]})
    assert texts(more) == ["d"]


def test_an_empty_stream_answers_tokens(api, stream, clock):
    first = api.events.get_log_events(call(), HERE)
    second = api.events.get_log_events(call(), {**HERE, "nextToken": first["nextForwardToken"]})
    assert first["nextForwardToken"] == second["nextForwardToken"]
    put(api, "a", clock=clock)
    third = api.events.get_log_events(call(), {**HERE, "nextToken": second["nextForwardToken"]})
    assert texts(third) == ["a"]


def test_pages_both_ways(api, stream, clock):
    put(api, *"abcdef", clock=clock)
    last = api.events.get_log_events(call(), {**HERE, "limit": 2})
    assert texts(last) == ["e", "f"]
    before = api.events.get_log_events(
        call(), {**HERE, "limit": 2, "nextToken": last["nextBackwardToken"]}
    )
    assert texts(before) == ["c", "d"]
    after = api.events.get_log_events(
        call(), {**HERE, "limit": 2, "nextToken": before["nextForwardToken"]}
    )
    assert texts(after) == ["e", "f"]


def test_a_page_holds_one_megabyte(api, stream, clock):
    for index in range(8):
        put(api, "x" * 200_000, at=index, clock=clock)
    got = api.events.get_log_events(call(), {**HERE, "startFromHead": True})
    assert len(got["events"]) == 5
    rest = api.events.get_log_events(call(), {**HERE, "nextToken": got["nextForwardToken"]})
    assert len(rest["events"]) == 3


@pytest.mark.parametrize(
    "token", ["x", "[]", '["f",1,1,1]', "é", '["f",1,1]' + " " * 5000, "[[],1,1]", "WyJmIiwxLDFd"]
)
def test_forged_tokens(api, stream, token):
    with pytest.raises(ServiceError, match="InvalidParameterException"):
        api.events.get_log_events(call(), {**HERE, "nextToken": token})


@pytest.mark.parametrize("token", [r'[1,"\ud800"]', "[1e999,1]", "[NaN,1]", "[" * 2000])
def test_forged_positions(api, stream, token):
    with pytest.raises(ServiceError, match="InvalidParameterException"):
        api.streams.describe_log_streams(call(), {"logGroupName": "/g", "nextToken": token})


def test_rejected_events(api, stream, clock):
    day = 24 * 3600 * 1000
    answer = put(api, "old", at=-15 * day, clock=clock)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    answer = put(api, "new", at=3 * 3600 * 1000, clock=clock)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    assert api.events.get_log_events(call(), HERE)["events"] == []


def test_bad_batches(api, stream, clock):
    now = epoch_ms(clock.now())
    for bad in (
        [{"timestamp": now, "message": "b"}, {"timestamp": now - 1, "message": "a"}],
        [{"timestamp": now, "message": "x" * 300_000}],
        [{"timestamp": now - 90_000_000, "message": "a"}, {"timestamp": now, "message": "b"}],
        [{"timestamp": now, "message": "x" * 250_000}] * 5,
    ):
        with pytest.raises(ServiceError, match="InvalidParameterException"):
            api.events.put_log_events(call(), {**HERE, "logEvents": bad})


def test_retention_is_honoured(api, stream, clock):
    put(api, "a", clock=clock)
    api.groups.put_retention_policy(call(), {"logGroupName": "/g", "retentionInDays": 1})
    clock.advance(timedelta(days=2).total_seconds())
    assert api.events.get_log_events(call(), HERE)["events"] == []
    with pytest.raises(ServiceError):
        api.groups.put_retention_policy(call(), {"logGroupName": "/g", "retentionInDays": 2})


def test_filter(api, stream, clock):
    api.sink.put(ONE, "U", "/g", "other", [(epoch_ms(clock.now()), "ERROR two")])
    put(api, "ERROR one", "INFO one", clock=clock)
    ask = {"logGroupName": "/g", "filterPattern": "ERROR"}
    found = api.events.filter_log_events(call("logs.FilterLogEvents"), ask)
    assert sorted(texts(found)) == ["ERROR one", "ERROR two"]
    assert "nextToken" not in found
    page = api.events.filter_log_events(call("logs.FilterLogEvents"), {**ask, "limit": 1})
    rest = api.events.filter_log_events(
        call("logs.FilterLogEvents"), {**ask, "nextToken": page["nextToken"]}
    )
    assert len(rest["events"]) == 1
    narrow = api.events.filter_log_events(
        call("logs.FilterLogEvents"), {"logGroupName": "/g", "logStreamNamePrefix": "oth"}
    )
    assert texts(narrow) == ["ERROR two"]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("", "x", True), ("a b", "b a", True), ("a b", "a", False), ('"a b"', "a b", True),
        ('"a b"', "b a", False), ("?a ?b", "b", True), ("?a ?b", "c", False), ("a -b", "a", True),
        ("a -b", "a b", False), ('-"x y"', "x y", False), (r'"a\"b"', 'a"b', True),
    ],
)  # fmt: skip
def test_patterns(pattern, text, matches):
    assert patterns.parse(pattern, "logs.FilterLogEvents").matches(text) is matches


@pytest.mark.parametrize("pattern", ["{ $.a = 1 }", "[a, b]", "%a+%"])
def test_patterns_that_are_refused(pattern):
    with pytest.raises(ServiceError, match="UnsupportedOperation"):
        patterns.parse(pattern, "logs.FilterLogEvents")


def test_streams_in_order(api, stream, clock):
    for index, name in enumerate(["job/b", "job/a"]):
        api.sink.put(ONE, "U", "/g", name, [(epoch_ms(clock.now()) + index, "x")])
    by_name = api.streams.describe_log_streams(
        call(), {"logGroupName": "/g", "logStreamNamePrefix": "job/", "orderBy": "LogStreamName"}
    )
    assert [each["logStreamName"] for each in by_name["logStreams"]] == ["job/a", "job/b"]
    newest = api.streams.describe_log_streams(
        call(), {"logGroupName": "/g", "orderBy": "LastEventTime", "descending": True, "limit": 1}
    )
    assert newest["logStreams"][0]["logStreamName"] == "job/a"
    then = api.streams.describe_log_streams(
        call(),
        {"logGroupName": "/g", "orderBy": "LastEventTime", "descending": True, "limit": 1,
         "nextToken": newest["nextToken"]},
    )  # fmt: skip
    assert then["logStreams"][0]["logStreamName"] == "job/b"


def test_accounts_do_not_see_each_other(api, stream, clock):
    put(api, "secret", clock=clock)
    other = call(account=OTHER)
    assert api.groups.describe_log_groups(other, {})["logGroups"] == []
    arn = f"arn:aws-us-gov:logs:us-gov-west-1:{ONE}:log-group:/g"
    for ask in ({"logGroupName": "/g"}, {"logGroupIdentifier": arn}):
        with pytest.raises(ServiceError, match="ResourceNotFoundException"):
            api.events.get_log_events(other, {**ask, "logStreamName": "s"})
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        api.groups.delete_log_group(other, {"logGroupName": "/g"})


def test_groups(api, stream):
    api.groups.create_log_group(call(), {"logGroupName": "/h", "tags": {"a": "1"}})
    with pytest.raises(ServiceError, match="ResourceAlreadyExistsException"):
        api.groups.create_log_group(call(), {"logGroupName": "/h"})
    api.groups.tag_log_group(call(), {"logGroupName": "/h", "tags": {"b": "2"}})
    api.groups.untag_log_group(call(), {"logGroupName": "/h", "tags": ["a"]})
    tags = api.groups.list_tags_log_group(call(), {"logGroupName": "/h"})
    assert tags == {"tags": {"b": "2"}}
    page = api.groups.describe_log_groups(call(), {"limit": 1})
    assert page["logGroups"][0]["logGroupName"] == "/g"
    rest = api.groups.describe_log_groups(call(), {"nextToken": page["nextToken"]})
    assert [group["logGroupName"] for group in rest["logGroups"]] == ["/h"]
    api.groups.delete_log_group(call(), {"logGroupName": "/g"})
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        api.events.get_log_events(call(), HERE)


def test_long_and_strange_lines(api, clock):
    api.sink.put(ONE, "U", "/g", "s", [(epoch_ms(clock.now()), "a\0b\ud800" + "x" * 200_000)])
    got = api.events.get_log_events(call(), {**HERE, "startFromHead": True})
    assert len(got["events"]) == 4
    assert got["events"][0]["message"].startswith("a\ufffdb?")


def test_metrics(api, clock):
    def ask(period=60, **more):
        now = clock.now()
        return {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(hours=1),
                "Period": period, "Namespace": "N", "MetricName": "m", **more}  # fmt: skip

    put_call = call("cloudwatch.PutMetricData")
    for value in (1.0, 3.0):
        datum = {"MetricName": "m", "Value": value, "Unit": "Count"}
        api.metrics.put_metric_data(put_call, {"Namespace": "N", "MetricData": [datum]})
    api.metric_sink.put(ONE, "U", "N", "m", {}, 8.0, clock.now(), "Count")
    got = api.metrics.get_metric_statistics(
        call(), ask(Statistics=["Average", "Sum", "SampleCount", "Minimum", "Maximum"])
    )
    point = got["Datapoints"][0]
    assert (point["Average"], point["Sum"], point["SampleCount"]) == (4.0, 12.0, 3)
    assert (point["Minimum"], point["Maximum"]) == (1.0, 8.0)
    query = {"Id": "a", "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "m"},
                                       "Period": 60, "Stat": "Sum"}}  # fmt: skip
    data = api.metrics.get_metric_data(call("cloudwatch.GetMetricData"), {
        **{key: ask()[key] for key in ("StartTime", "EndTime")}, "MetricDataQueries": [query]
    })  # fmt: skip
    assert data["MetricDataResults"][0]["Values"] == [12.0]
    assert api.metrics.list_metrics(call(), {})["Metrics"][0]["MetricName"] == "m"
    other = call(account=OTHER)
    assert api.metrics.list_metrics(other, {})["Metrics"] == []
    assert api.metrics.get_metric_statistics(other, ask(Statistics=["Sum"]))["Datapoints"] == []
    for bad in ({"Stat": "p99"}, None):
        query = {"Id": "a", "MetricStat": {**query["MetricStat"], **bad}} if bad else {
            "Id": "a", "Expression": "m1*2"}  # fmt: skip
        with pytest.raises(ServiceError, match="UnsupportedOperation"):
            api.metrics.get_metric_data(call("cloudwatch.GetMetricData"), {
                **{key: ask()[key] for key in ("StartTime", "EndTime")},
                "MetricDataQueries": [query],
            })  # fmt: skip


def test_tags_by_arn(api, stream):
    arn = api.groups.describe_log_groups(call(), {})["logGroups"][0]["logGroupArn"]
    api.groups.tag_resource(call(), {"resourceArn": arn, "tags": {"a": "1", "b": "2"}})
    api.groups.untag_resource(call(), {"resourceArn": arn, "tagKeys": ["a"]})
    assert api.groups.list_tags_for_resource(call(), {"resourceArn": arn}) == {"tags": {"b": "2"}}
    many = {str(number): "x" for number in range(50)}
    with pytest.raises(ServiceError, match="TooManyTags"):
        api.groups.tag_resource(call(), {"resourceArn": arn, "tags": many})
    name = api.groups.describe_log_groups(call(), {})["logGroups"][0]["logGroupName"]
    with pytest.raises(ServiceError, match="InvalidParameterException"):  # it knows no other
        api.groups.tag_log_group(call(), {"logGroupName": name, "tags": many})
    elsewhere = arn.replace("us-gov-west-1", "us-east-1"), arn.replace("aws-us-gov", "aws")
    for wrong in (arn.replace(ONE, OTHER), arn + "x", f"{arn}:*", "arn:aws:s3:::b", *elsewhere):
        with pytest.raises(ServiceError, match="ResourceNotFound"):
            api.groups.list_tags_for_resource(call(), {"resourceArn": wrong})


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("datum", "code", "told"),
    [
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterValue",
         "MetricData.member.2.Value and MetricData.member.2.Values are mutually exclusive"),
        ({"Value": 1.0, "StatisticValues": {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0,
                                            "Maximum": 1.0}}, "InvalidParameterCombination",
         "MetricData.member.2.Value and MetricData.member.2.StatisticValues are mutually"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue",
         "MetricData.member.2.Values and MetricData.member.2.Counts must be of the same size."),
        ({"Value": math.nan}, "InvalidParameterValue",
         "The value NaN for parameter MetricData.member.2.Value is invalid."),
        ({}, "InvalidParameterCombination", "At least one of the parameters MetricData.member.2."),
    ],
)  # fmt: skip
def test_a_datum_is_refused_by_its_place(api, datum, code, told):
    data = [{"MetricName": "m", "Value": 1.0}, {"MetricName": "m", **datum}]
    with pytest.raises(ServiceError, match=code) as refused:
        api.metrics.put_metric_data(call(), {"Namespace": "n", "MetricData": data})
    assert told in refused.value.message
    assert api.metrics.list_metrics(call(), {})["Metrics"] == []  # all or nothing


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-60, "EndTime must be greater than StartTime"), (0.5, "StartTime must not equal parameter")],
)
def test_times_of_get_metric_data(api, seconds, told):
    request = {"MetricDataQueries": [], "StartTime": MOMENT}
    with pytest.raises(ServiceError, match=told):
        api.metrics.get_metric_data(
            call(), {**request, "EndTime": MOMENT + timedelta(seconds=seconds)}
        )
