"""CloudWatch Logs and metrics by boto3: what is put is found, and goes when it is told to."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from bastide.kernel.clock import SystemClock, epoch_ms

GROUP, STREAM = "diary", "monday"
THERE = {"logGroupName": GROUP, "logStreamName": STREAM}


@pytest.fixture(scope="module")
def now():
    return SystemClock().now()


@pytest.fixture
def logs(region):
    client = region.client("logs", "diarist")
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(**THERE)
    yield client
    client.delete_log_group(logGroupName=GROUP)


def refused(call, code, **request):
    with pytest.raises(ClientError) as found:
        call(**request)
    assert found.value.response["Error"]["Code"] == code


def test_lines_are_put_and_read_back(logs, now):
    moment = epoch_ms(now)
    lines = ["one", "two é𝄞", "ERROR of the third"]
    events = [{"timestamp": moment + n, "message": line} for n, line in enumerate(lines)]
    assert "rejectedLogEventsInfo" not in logs.put_log_events(**THERE, logEvents=events)
    got = logs.get_log_events(**THERE, startFromHead=True)
    assert [(each["timestamp"], each["message"]) for each in got["events"]] == [
        (each["timestamp"], each["message"]) for each in events
    ]
    again = logs.get_log_events(**THERE, nextToken=got["nextForwardToken"])
    assert (again["events"], again["nextForwardToken"]) == ([], got["nextForwardToken"])
    found = logs.filter_log_events(logGroupName=GROUP, filterPattern="ERROR")
    assert [each["message"] for each in found["events"]] == lines[2:]
    (stream,) = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (moment, moment + 2)


def test_lines_that_are_too_old_or_too_new_are_left_out(logs, now):
    times = [now - timedelta(days=15), now, now + timedelta(hours=3)]
    for index, told in ((0, {"tooOldLogEventEndIndex": 1}), (2, {"tooNewLogEventStartIndex": 0})):
        event = {"timestamp": epoch_ms(times[index]), "message": "out of time"}
        answer = logs.put_log_events(**THERE, logEvents=[event])
        assert answer["rejectedLogEventsInfo"] == told
    assert logs.get_log_events(**THERE)["events"] == []
    backwards = [{"timestamp": epoch_ms(each), "message": "m"} for each in reversed(times)]
    refused(logs.put_log_events, "InvalidParameterException", **THERE, logEvents=backwards)


def test_a_stream_goes_with_its_lines(logs, now):
    event = {"timestamp": epoch_ms(now), "message": "m"}
    logs.put_log_events(**THERE, logEvents=[event])
    logs.delete_log_stream(**THERE)
    refused(logs.get_log_events, "ResourceNotFoundException", **THERE)
    refused(logs.put_log_events, "ResourceNotFoundException", **THERE, logEvents=[event])
    refused(logs.delete_log_stream, "ResourceNotFoundException", **THERE)
    logs.create_log_stream(**THERE)
    assert logs.get_log_events(**THERE)["events"] == []


def test_retention_is_set_and_unset(logs, now):
    def kept():
        (group,) = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
        return group.get("retentionInDays")

    old = {"timestamp": epoch_ms(now - timedelta(days=2)), "message": "of old"}
    logs.put_log_events(**THERE, logEvents=[old])
    assert kept() is None
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=1)
    assert kept() == 1
    assert logs.get_log_events(**THERE)["events"] == []
    logs.delete_retention_policy(logGroupName=GROUP)
    assert kept() is None
    refused(logs.delete_retention_policy, "ResourceNotFoundException", logGroupName="nowhere")


@pytest.fixture(scope="module")
def metrics(region, now):
    client = region.client("cloudwatch", "diarist")
    for value, age_s in ((1.0, 90), (3.0, 90), (5.0, 30)):
        client.put_metric_data(
            Namespace="Diary",
            MetricData=[
                {
                    "MetricName": "mood",
                    "Dimensions": [{"Name": "day", "Value": "monday"}],
                    "Timestamp": whole_minute(now) - timedelta(seconds=age_s),
                    "Value": value,
                }
            ],
        )
    return client


def whole_minute(moment):
    return moment.replace(second=0, microsecond=0)


def test_metrics_are_listed(metrics):
    listed = metrics.list_metrics(Namespace="Diary")["Metrics"]
    day = [{"Name": "day", "Value": "monday"}]
    assert listed == [{"Namespace": "Diary", "MetricName": "mood", "Dimensions": day}]
    assert metrics.list_metrics(Namespace="Diary", MetricName="weather")["Metrics"] == []


def test_statistics_of_a_metric(metrics, now):
    minute = whole_minute(now)
    answer = metrics.get_metric_statistics(
        Namespace="Diary", MetricName="mood", Dimensions=[{"Name": "day", "Value": "monday"}],
        StartTime=minute - timedelta(minutes=5), EndTime=minute, Period=60,
        Statistics=["Sum", "Maximum", "SampleCount"],
    )  # fmt: skip
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    assert [
        (p["Timestamp"], p["Sum"], p["Maximum"], p["SampleCount"], p["Unit"]) for p in points
    ] == [
        (minute - timedelta(minutes=2), 4.0, 3.0, 2.0, "None"),
        (minute - timedelta(minutes=1), 5.0, 5.0, 1.0, "None"),
    ]


def test_data_of_a_metric(metrics, now):
    minute = whole_minute(now)
    day = [{"Name": "day", "Value": "monday"}]
    metric = {"Namespace": "Diary", "MetricName": "mood", "Dimensions": day}
    stat = {"Metric": metric, "Period": 60, "Stat": "Average"}
    span = {"StartTime": minute - timedelta(minutes=5), "EndTime": minute}
    (result,) = metrics.get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": stat}], ScanBy="TimestampAscending", **span
    )["MetricDataResults"]
    assert (result["Id"], result["StatusCode"]) == ("m", "Complete")
    assert result["Values"] == [2.0, 5.0]
    assert result["Timestamps"] == [minute - timedelta(minutes=n) for n in (2, 1)]


def test_a_neighbour_s_metrics_are_not_seen(region, metrics):
    assert region.client("cloudwatch", "neighbour").list_metrics()["Metrics"] == []
