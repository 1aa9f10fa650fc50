"""Any call of any operation that is implemented: odd, but well-formed, as botocore writes it.

Whatever is asked, the answer is one that botocore can read, no fault is ours, and the region goes
on. A failure names its seed, its operation and its input; the region's own ids and clock are not
the seed's, so the input is what tells most.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore import xform_name
from botocore.eventstream import EventStream
from botocore.exceptions import (
    ClientError,
    EventStreamError,
    FlexibleChecksumError,
    ParamValidationError,
)
from botocore.response import StreamingBody
from botocore.validate import ParamValidator
from tests.live import NAME, ROOT, LiveRegion
from tests.registry import ask_region
from tests.service.good_input import MADE, MODEL, Place
from tests.service.odd_input import OddInput
from tests.waiting import wait_for

from bastide.kernel.clock import SystemClock
from bastide.kernel.operation import Honours, honours_of
from bastide.wire import mantle

AGENCY = "odd"
ROUNDS = 10
FINE = {"understood", "refused", "unavailable", "not sent"}
MAY_FAIL = {
    501: {"UnsupportedOperation", "501"},  # an answer to HEAD has no body to name its code
    503: {"SlowDown", "ServiceUnavailableException"},
}


@pytest.fixture(scope="module")
def honours(tmp_path_factory) -> dict[str, Honours]:
    """What each implemented operation honours, by its name: `"s3.PutObject"`. botocore writes no
    calls of bedrock-mantle: tests/wire/gateway/test_wire_mantle.py has odd ones."""
    found = ask_region(
        tmp_path_factory.mktemp("joined"),
        lambda region: {n: honours_of(h.method) for n, h in region.gateway.handlers.items()},
    )
    return {name: each for name, each in found.items() if not name.startswith(f"{mantle.NAME}.")}


@pytest.fixture(scope="module")
def engine():
    """The address of an engine that answers at once."""
    stub = subprocess.Popen(
        [sys.executable, "-m", "bench.stub_engine"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    yield stub.stdout.readline().strip()
    stub.kill()
    stub.wait()
    stub.stdout.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, new_toml, engine):
    """A region of its own, whose log is then all about these calls."""
    urls = f'urls = {{ "{MODEL}" = {{ url = "{engine}", model = "stub" }} }}'
    toml = f"{new_toml()}[regions.{NAME}.engines]\n{urls}\n"
    live = LiveRegion(tmp_path_factory.mktemp("odd"), toml=toml).start()
    live.cli("env", "build", "sklearn")
    yield live
    try:
        clear(live.client("sagemaker", AGENCY))
    finally:
        live.stop()


def clear(sagemaker: Any) -> None:
    """Leave nothing running: jobs outlive their region."""
    pages = sagemaker.get_paginator("list_endpoints").paginate()
    for one in pages.build_full_result()["Endpoints"]:
        with suppress(ClientError):  # it is on its way already
            sagemaker.delete_endpoint(EndpointName=one["EndpointName"])

    def left() -> dict[str, int]:
        jobs = sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
        return {"count": len(jobs) + len(sagemaker.list_endpoints()["Endpoints"])}

    wait_for(left, "count", {0})


@dataclass
class Caller:
    """Makes the calls, and keeps what went wrong."""

    site: LiveRegion
    odd: OddInput
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    clients: dict[str, Any] = field(default_factory=dict)
    good: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.site.client(
                service, AGENCY, parameter_validation=False, read_timeout=90
            )
        return self.clients[service]

    def furnish(self, number: int) -> None:
        """What a round finds: something of each kind, whatever became of that of the last."""
        account = self.site.account(AGENCY)
        place = Place(
            name=f"odd-{number}", account_id=account["account_id"], role_arn=account["role_arn"],
            now=self.odd.now,
        )  # fmt: skip
        self.good = place.good_input()
        for operation in MADE:
            service, name = operation.split(".")
            answer = getattr(self.client(service), xform_name(name))(**self.good[operation])
            self.odd.remember(answer)
            if "UploadId" in answer:
                self.good |= place.upload_input(answer["UploadId"])
        self.client("s3").upload_part(**self.good["s3.UploadPart"])
        self.odd.know(**place.names())

    def call(self, operation: str, honours: Honours) -> None:
        service, name = operation.split(".")
        client = self.client(service)
        model = client.meta.service_model.operation_model(name)
        asked = self.odd.of(model.input_shape, honours, self.good.get(operation))
        try:
            said = self.outcome(getattr(client, xform_name(name)), asked, model.output_shape)
        except Exception as error:  # whatever it is: it is told with its input
            said = f"{type(error).__name__}: {error}"
        self.counts[said] += 1
        if said not in FINE:
            self.wrong.append(f"{operation}: {said[:500]}\n    {asked!r}")

    def outcome(self, method: Callable[..., Any], asked: dict[str, Any], shape: Any) -> str:
        try:
            answer = method(**asked)
            drain(answer)
        except (ParamValidationError, FlexibleChecksumError) as error:
            if "did not match" in str(error):  # of what came back
                raise
            return "not sent"
        except EventStreamError:
            return "refused"
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code = error.response["Error"]["Code"]
            if status < 500:
                return "refused"
            return "unavailable" if code in MAY_FAIL.get(status, ()) else f"{status} {code}"
        self.odd.remember(answer)
        return faults(answer, shape) or "understood"


def drain(answer: dict[str, Any]) -> None:
    """Read what streams, to its end."""
    for name, value in answer.items():
        if isinstance(value, StreamingBody):
            answer[name] = value.read()
        elif isinstance(value, EventStream):
            answer[name] = list(value)


def faults(answer: dict[str, Any], shape: Any) -> str:
    """What of an answer is not as its model says: types, and members that must be there."""
    if shape is None:
        return ""
    streams = {name for name, one in shape.members.items() if one.serialization.get("eventstream")}
    told = {key: answer[key] for key in answer.keys() - streams - {"ResponseMetadata"}}
    report = ParamValidator().validate(told, shape).generate_report()
    # botocore adds members of its own, and reads policy documents: those are no texts then.
    its_own = ["Unknown parameter", "Document, value: {"]
    # What streams was read above, and is no value of its shape any more.
    its_own += [
        f'Missing required parameter in input: "{name}"' for name in streams & answer.keys()
    ]
    return "\n".join(
        line for line in report.splitlines() if not any(words in line for words in its_own)
    )


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))],
    ids=lambda seed: f"seed{seed}",
)  # fmt: skip
def test_any_call_has_an_answer(site, honours, seed):
    keys = site.agency(AGENCY)
    role = site.account(AGENCY)["role_arn"].rpartition("/")[2]  # each round's good input needs it
    secret = frozenset({"administrator", role, *keys.values()})
    caller = Caller(site, OddInput(random.Random(seed), SystemClock().now(), secret))
    for number in range(ROUNDS):
        caller.furnish(seed * ROUNDS + number)
        names = sorted(honours)
        caller.odd.dice.shuffle(names)
        for name in names:
            caller.call(name, honours[name])
    assert not caller.wrong, f"seed {seed}:\n" + "\n".join(caller.wrong)
    assert caller.counts["understood"] > sum(caller.counts.values()) / 4
    assert caller.counts["not sent"] < sum(caller.counts.values()) / 50
    assert site.client("sts", AGENCY).get_caller_identity()["Account"]
    log = (site.folder / "region.log").read_text()
    assert " ERROR " not in log, log
