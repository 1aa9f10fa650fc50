"""CloudWatch metrics: put, list, and statistics over periods.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
Percentiles and metric math are refused by name: only sums of values are kept.
"""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.logs import metric_records, tokens
from bastide.logs.model import Sample
from bastide.logs.sink import MetricSink

Params = dict[str, Any]
DATUMS_MAX = 1000
DIMENSIONS_MAX = 30
POINTS_MAX = 1440
QUERIES_MAX = 500
DATA_POINTS_MAX = 100_800
LIST_PAGE = 500
STATISTICS = frozenset({"SampleCount", "Average", "Sum", "Minimum", "Maximum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    database: Database
    labels: LabelsInUse
    clock: Clock
    sink: MetricSink

    @operation(
        "Namespace", "MetricData",
        accepted={"StrictEntityValidation": "no entities are taken, so there is none to validate"},
    )  # fmt: skip
    def put_metric_data(self, call: Call, req: Params) -> Params:
        if req["Namespace"].startswith("AWS/"):
            raise _invalid("The value AWS/ for parameter Namespace is invalid.")
        data = req.get("MetricData") or []
        if not data or len(data) > DATUMS_MAX:
            raise _invalid(f"The collection MetricData must hold 1 to {DATUMS_MAX} members.")
        now = epoch_ms(self.clock.now())
        self.labels.use(call.principal.session)
        samples = [
            _sample_of(call, req["Namespace"], datum, f"MetricData.member.{number}", now)
            for number, datum in enumerate(data, 1)
        ]
        self.database.write(lambda c: metric_records.add(c, samples))
        return {}

    @operation("Namespace", "MetricName", "Dimensions", "NextToken")
    def list_metrics(self, call: Call, req: Params) -> Params:
        self.sink.flush()
        view = self.labels.view(call.principal.session)
        beyond = tokens.load(req.get("NextToken"), str, str, str, code="InvalidParameterValue")
        page = self.database.read(
            lambda c: metric_records.distinct(
                c,
                call.account,
                view,
                req.get("Namespace"),
                req.get("MetricName"),
                tuple(beyond) if beyond else None,
                LIST_PAGE + 1,
            )
        )
        answer: Params = {"Metrics": []}
        for namespace, name, text in page[:LIST_PAGE]:
            dimensions = json.loads(text)
            if _has(dimensions, req.get("Dimensions") or []):
                answer["Metrics"].append(
                    {
                        "Namespace": namespace,
                        "MetricName": name,
                        "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                    }
                )
        if len(page) > LIST_PAGE:
            answer["NextToken"] = tokens.dump(*page[LIST_PAGE - 1])
        return answer

    @operation(
        "Namespace", "MetricName", "Dimensions", "StartTime", "EndTime", "Period", "Statistics",
        "Unit",
    )  # fmt: skip
    def get_metric_statistics(self, call: Call, req: Params) -> Params:
        statistics = req.get("Statistics")
        if not statistics:
            raise _clash("Must specify either Statistics or ExtendedStatistics")
        span = (req["EndTime"] - req["StartTime"]).total_seconds()
        if _whole(req["StartTime"]) >= _whole(req["EndTime"]):
            raise _invalid("The parameter StartTime must be less than the parameter EndTime.")
        if span / req["Period"] > POINTS_MAX:
            raise _clash(
                f"You have requested up to {math.ceil(span / req['Period'])} datapoints, which "
                f"exceeds the limit of {POINTS_MAX}."
            )
        buckets = self._buckets(call, req, req, req["Period"], req.get("Unit"))
        points = [
            {
                "Timestamp": moment(at),
                "Unit": unit,
                **{name: _statistic(samples, name) for name in statistics},
            }
            for (at, unit), samples in sorted(buckets.items())
        ]
        return {"Label": req["MetricName"], "Datapoints": points}

    @operation(
        "MetricDataQueries.Id", "MetricDataQueries.MetricStat", "MetricDataQueries.Label",
        "MetricDataQueries.ReturnData", "StartTime", "EndTime", "ScanBy", "MaxDatapoints",
    )  # fmt: skip
    def get_metric_data(self, call: Call, req: Params) -> Params:
        queries = req["MetricDataQueries"]
        if len(queries) > QUERIES_MAX:
            raise _invalid(f"At most {QUERIES_MAX} queries are taken.", "ValidationError")
        if req["StartTime"] > req["EndTime"]:
            message = "The parameter EndTime must be greater than StartTime."
            raise _invalid(message, "ValidationError")
        if _whole(req["StartTime"]) == _whole(req["EndTime"]):
            message = "The parameter StartTime must not equal parameter EndTime."
            raise _invalid(message, "ValidationError")
        if len({query["Id"] for query in queries}) != len(queries):
            raise _invalid("The values for Id must be unique.", "ValidationError")
        wanted = [query for query in queries if query.get("ReturnData", True)]
        left = min(req.get("MaxDatapoints") or DATA_POINTS_MAX, DATA_POINTS_MAX)
        results = []
        for query in wanted:
            result = self._query(call, req, query, left)
            left -= len(result["Values"])
            results.append(result)
        return {"MetricDataResults": results}

    def _query(self, call: Call, req: Params, query: Params, left: int) -> Params:
        stat = query.get("MetricStat")
        if not stat:
            raise unsupported(call.operation, "MetricDataQueries.Expression")
        if stat["Stat"] not in STATISTICS:
            raise unsupported(call.operation, f"Stat={stat['Stat'][:40]}")
        metric = {"Dimensions": [], **stat["Metric"]}
        buckets = self._buckets(call, req, metric, stat["Period"], stat.get("Unit"))
        merged: dict[int, list[Sample]] = defaultdict(list)
        for (at, _), samples in buckets.items():
            merged[at] += samples
        order = sorted(merged, reverse=req.get("ScanBy") != "TimestampAscending")
        return {
            "Id": query["Id"],
            "Label": query.get("Label") or metric["MetricName"],
            "Timestamps": [moment(at) for at in order[:left]],
            "Values": [_statistic(merged[at], stat["Stat"]) for at in order[:left]],
            "StatusCode": "Complete" if len(order) <= left else "PartialData",
        }

    def _buckets(
        self, call: Call, req: Params, metric: Params, period_s: int, unit: str | None
    ) -> dict[tuple[int, str], list[Sample]]:
        """Samples by (start of the period, unit)."""
        if period_s < 1 or (period_s not in (1, 5, 10, 30) and period_s % 60):
            raise _invalid("The period must be 1, 5, 10, 30 or a multiple of 60.")
        self.sink.flush()
        pairs = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or []}
        which = (metric["Namespace"], metric["MetricName"], metric_records.canonical(pairs))
        start, end = epoch_ms(req["StartTime"]), epoch_ms(req["EndTime"])
        start -= start % (min(period_s, 60) * 1000)
        view = self.labels.view(call.principal.session)
        found = self.database.read(
            lambda c: metric_records.between(c, call.account, which, (start, end), view)
        )
        buckets: dict[tuple[int, str], list[Sample]] = defaultdict(list)
        for sample in found:
            if unit is None or sample.unit == unit:
                at = start + (sample.at_ms - start) // (period_s * 1000) * period_s * 1000
                buckets[at, sample.unit].append(sample)
        return buckets


def _sample_of(call: Call, namespace: str, datum: Params, where: str, now: int) -> Sample:
    """`where` is the datum's place in the request, for what is wrong with it."""
    _check_datum(datum, where)
    dimensions = {each["Name"]: each["Value"] for each in datum.get("Dimensions") or []}
    if len(dimensions) > DIMENSIONS_MAX:
        raise _invalid(f"At most {DIMENSIONS_MAX} dimensions are taken.")
    count, total, minimum, maximum = _summary(datum)
    at = datum.get("Timestamp")
    return Sample(
        account=call.account,
        label=call.principal.session.text,
        namespace=namespace,
        name=datum["MetricName"],
        dimensions=metric_records.canonical(dimensions),
        at_ms=now if at is None else epoch_ms(at),
        unit=datum.get("Unit") or "None",
        count=count,
        total=total,
        minimum=minimum,
        maximum=maximum,
    )


def _check_datum(datum: Params, where: str) -> None:
    given = [name for name in ("Value", "StatisticValues", "Values") if datum.get(name) is not None]
    if not given:
        raise _clash(f"At least one of the parameters {where}.Value, {where}.StatisticValues and "
                     f"{where}.Values must be specified.")  # fmt: skip
    if len(given) > 1:
        both = f"{where}.{given[0]} and {where}.{given[1]}"
        message = f"The parameters {both} are mutually exclusive and you have specified both."
        raise _invalid(message) if "Values" in given else _clash(message)
    values, counts = datum.get("Values") or [], datum.get("Counts")
    if counts is not None and len(counts) != len(values):
        raise _invalid(
            f"The parameters {where}.Values and {where}.Counts must be of the same size."
        )
    numbers = {"Value": datum.get("Value"), **(datum.get("StatisticValues") or {})}
    numbers |= {f"Values.member.{n}": value for n, value in enumerate(values, 1)}
    numbers |= {f"Counts.member.{n}": value for n, value in enumerate(counts or [], 1)}
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            shown = "NaN" if math.isnan(number) else number
            raise _invalid(f"The value {shown} for parameter {where}.{name} is invalid.")


def _whole(at: datetime) -> datetime:
    """In whole seconds, as CloudWatch has times."""
    return at.replace(microsecond=0)


def _summary(datum: Params) -> tuple[float, float, float, float]:
    if datum.get("StatisticValues") is not None:
        given = datum["StatisticValues"]
        return given["SampleCount"], given["Sum"], given["Minimum"], given["Maximum"]
    values: Sequence[float] = datum.get("Values") or [datum.get("Value") or 0.0]
    counts: Sequence[float] = datum.get("Counts") or [1.0] * len(values)
    total = sum(value * count for value, count in zip(values, counts, strict=True))
    return sum(counts), total, min(values), max(values)


def _statistic(samples: Sequence[Sample], name: str) -> float:
    count, total = sum(each.count for each in samples), sum(each.total for each in samples)
    match name:
        case "SampleCount":
            return count
        case "Sum":
            return total
        case "Average":
            return total / count if count else 0.0
        case "Minimum":
            return min(each.minimum for each in samples)
    return max(each.maximum for each in samples)


def _has(dimensions: Params, filters: Sequence[Params]) -> bool:
    return all(
        each["Name"] in dimensions
        and ("Value" not in each or dimensions[each["Name"]] == each["Value"])
        for each in filters
    )


def _clash(message: str) -> ServiceError:
    return ServiceError("InvalidParameterCombination", message)


def _invalid(message: str, code: str = "InvalidParameterValue") -> ServiceError:
    return ServiceError(code, message)
