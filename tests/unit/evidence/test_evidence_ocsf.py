"""OCSF's API Activity: what the class requires is there, and what it counts is counted so."""

import json

import pytest
from tests.receipts_kit import ACCOUNT, Ledger, call

from bastide.db import Database
from bastide.evidence.ocsf import event, exported

# The attributes that the class requires, and the values of its enumerations (1.9.0).
REQUIRED = {"activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id",
            "src_endpoint", "time", "type_uid"}  # fmt: skip
ACTIVITIES, STATUSES, SEVERITIES = {0, 1, 2, 3, 4, 99}, {0, 1, 2, 99}, {0, 1, 2, 3, 4, 5, 6, 99}


@pytest.fixture
def ledger(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/region.db")
    database.start(create=True)
    made = Ledger(database, tmp_path)
    yield made
    made.log.close()
    database.close()


def told(tmp_path, account=None, since_ms=None):
    return list(exported(f"{tmp_path}/region.db", account, since_ms))


def check(found):
    assert found.keys() >= REQUIRED
    assert (found["class_uid"], found["category_uid"]) == (6003, 6)
    assert found["type_uid"] == 600300 + found["activity_id"]
    assert found["activity_id"] in ACTIVITIES
    assert found["status_id"] in STATUSES
    assert found["severity_id"] in SEVERITIES
    assert found["metadata"].keys() >= {"product", "version"}
    assert found["api"]["operation"]
    assert found["src_endpoint"]
    json.dumps(found)


def test_each_kind_of_record(ledger, tmp_path):
    ledger.infer()
    refused, failed, going_on = call("s3.GetObject"), call("iam.CreateUser"), call("s3.PutObject")
    ledger.trail.denied(refused, {"Bucket": "b"}, "AccessDenied").result(30)
    ledger.trail.opened(failed, {"UserName": "u"}).result(30)
    ledger.clock.advance(2)
    ledger.trail.closed(failed, 409, "EntityAlreadyExists")
    ledger.trail.rejected({"source ip": "10.0.0.9", "path": "/"}, "InvalidToken").result(30)
    ledger.trail.job(ACCOUNT, "j", "RUNNING").result(30)
    ledger.trail.opened(going_on, {}).result(30)
    found = told(tmp_path)
    for each in found:
        check(each)
    by_name = {each["api"]["operation"]: each for each in found}
    assert by_name.keys() == {
        "Converse", "Nothing", "GetObject", "CreateUser", "Unknown", "PutObject"
    }  # fmt: skip
    assert by_name["Converse"]["unmapped"]["inference"]["output_tokens"] == 2
    assert by_name["GetObject"]["status_code"] == "AccessDenied"
    assert by_name["GetObject"]["resources"] == [{"type": "Bucket", "name": "b"}]
    assert by_name["CreateUser"]["api"]["response"] == {"code": 409, "error": "EntityAlreadyExists"}
    assert (by_name["CreateUser"]["activity_id"], by_name["CreateUser"]["duration"]) == (1, 2000)
    assert by_name["Unknown"]["actor"]["user"]["type_id"] == 0
    assert [by_name[name]["status_id"] for name in ("Converse", "CreateUser", "PutObject")] == [
        1, 2, 0
    ]  # fmt: skip
    assert by_name["Converse"]["metadata"]["tenant_uid"] == ACCOUNT


def test_of_one_account_and_from_a_time_on(ledger, tmp_path):
    ledger.infer()
    ledger.infer(call(account="210987654321"))
    assert {each["metadata"]["tenant_uid"] for each in told(tmp_path, ACCOUNT)} == {ACCOUNT}
    start = told(tmp_path)[0]["time"]
    assert told(tmp_path, since_ms=start + 1) == []


def test_activities_are_of_the_first_word():
    base = {"time": 1, "id": "x", "kind": "call"}
    said = {name: event({**base, "operation": f"s3.{name}"})["activity_id"] for name in
            ("CreateBucket", "ListBuckets", "PutObject", "DeleteObject", "Frobnicate")}  # fmt: skip
    assert list(said.values()) == [1, 2, 3, 4, 99]
