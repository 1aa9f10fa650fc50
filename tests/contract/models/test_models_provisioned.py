"""Provisioned throughput: what is there is held, for who may see it; what is not is refused."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from tests.inference_kit import GOV, models_at
from tests.inference_kit import OTHER as TWO
from tests.labels_kit import marks
from tests.sagefakes import ONE, call

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SeededIds
from bastide.models.model import ModelCard
from bastide.models.provisioned import Holding, ProvisionedThroughput, ThroughputShelf

SMALL = "bastide.small-v1:0"


@dataclass
class Room:
    """`models.ports.Reservations` that settles when told."""

    parts: dict = field(default_factory=lambda: {"U": 400, "S": 400})
    cost_mib: int = 100
    held: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    gone: list = field(default_factory=list)

    def reservable_mib(self, label):
        return self.parts.get(label, 0)

    def memory_mib(self, card):
        return self.cost_mib

    def hold(self, wanted, card, then):
        assert card.held == wanted.name
        self.asked.append((wanted.name, wanted.units, wanted.label, then))

    def let_go(self, name):
        self.gone.append(name)

    def settle(self, held=True):
        for *_, then in self.asked:
            then(held)
        self.asked.clear()


@pytest.fixture
def room():
    return Room()


@pytest.fixture
def api(database, tmp_path, room):
    models = models_at(tmp_path)
    models._by_id[SMALL] = ModelCard(
        name="small", model_id=SMALL, title="Small", provider="T", sha256="00", path=Path("/w")
    )
    shelf = ThroughputShelf(region=GOV, database=database, marks=marks(database), models=models)
    models.brought.append(shelf.card)
    clock = ManualClock()
    return ProvisionedThroughput(
        shelf=shelf, clock=clock, ids=SeededIds(1), engines=room,
        holding=Holding(shelf=shelf, clock=clock, engines=room),
    )  # fmt: skip


def made(api, name="pt", units=1, account=ONE, marking="U", **more):
    asked = call("bedrock.CreateProvisionedModelThroughput", account, marking)
    req = {"provisionedModelName": name, "modelId": SMALL, "modelUnits": units, **more}
    return api.create_provisioned_model_throughput(asked, req)["provisionedModelArn"]


def got(api, arn, account=ONE, marking="U"):
    asked = call("bedrock.GetProvisionedModelThroughput", account, marking)
    return api.get_provisioned_model_throughput(asked, {"provisionedModelId": arn})


def listed(api, marking="U", **req):
    asked = call("bedrock.ListProvisionedModelThroughputs", ONE, marking)
    found = api.list_provisioned_model_throughputs(asked, req)
    return [one["provisionedModelName"] for one in found["provisionedModelSummaries"]]


def called(api, arn, account=ONE, marking="U"):
    return api.shelf.models.called(call("bedrock-runtime.Converse", account, marking), arn)


def test_what_is_held_is_in_service_and_called_by_its_arn(api, room):
    arn = made(api)
    assert got(api, arn)["status"] == "Creating"
    room.settle()
    said = got(api, "pt")
    assert (said["status"], said["modelUnits"], said["provisionedModelArn"]) == (
        "InService", 1, arn,
    )  # fmt: skip
    card = called(api, arn)
    assert (card.model_id, card.held) == (SMALL, arn.rpartition("/")[2])
    with pytest.raises(ServiceError, match="identifier is invalid"):
        called(api, "pt")


def test_what_is_not_there_is_refused_or_fails_and_says_so(api, room):
    with pytest.raises(ServiceError, match="ServiceQuotaExceeded"):
        made(api, units=3)  # a half of 400 MiB is an agency's
    arn = made(api, units=2)
    with pytest.raises(ServiceError, match="ServiceQuotaExceeded"):
        made(api, "another")
    made(api, "theirs", account=TWO)
    room.settle(held=False)
    said = got(api, arn)
    assert (said["status"], said["modelUnits"]) == ("Failed", 0)
    assert "not there" in said["failureMessage"]
    made(api, "again", units=2)


def test_nobody_else_finds_it_nor_who_works_below(api, room):
    arn = made(api, marking="S")
    for account, marking in ((TWO, "S"), (ONE, "U")):
        with pytest.raises(ServiceError, match="ResourceNotFound"):
            got(api, arn, account, marking)
        with pytest.raises(ServiceError, match="identifier is invalid"):
            called(api, arn, account, marking)
    assert listed(api) == []
    assert listed(api, "S") == ["pt"]
    low = made(api)  # the name is not taken below
    asked = call("bedrock.DeleteProvisionedModelThroughput", ONE, "S")
    with pytest.raises(ServiceError):  # what lies below is changed by nobody above
        api.delete_provisioned_model_throughput(asked, {"provisionedModelId": low})
    assert got(api, low)["status"] == "Creating"


def test_the_engines_are_told_of_which_labels_part_it_is(api, room):
    made(api)
    made(api, marking="S")
    assert [label for _, _, label, _ in room.asked] == ["U", "S"]


def test_a_label_has_its_own_part_over_all_agencies(api, room):
    room.parts["U"] = 500
    made(api, units=2)
    made(api, units=2, account=TWO)
    with pytest.raises(ServiceError, match="is not there"):
        made(api, units=2, account="777788889999")
    room.parts["S"] = 0
    with pytest.raises(ServiceError, match="no part of reservable_mib"):
        made(api, marking="S")


def test_what_is_more_than_a_labels_part_is_not_held_again(api, room):
    first, second = made(api), made(api, "second")
    room.settle()
    room.parts["U"] = 150
    api.holding.start()
    room.settle()
    assert [got(api, each)["status"] for each in (first, second)] == ["InService", "Failed"]


def test_what_needs_more_now_counts_as_that_in_its_labels_part(api, room):
    first, second = made(api), made(api, "second")
    room.settle()
    room.cost_mib = 250
    api.holding.start()
    room.settle()
    assert [got(api, each)["status"] for each in (first, second)] == ["InService", "Failed"]
    room.parts["U"], room.cost_mib = 500, 1
    with pytest.raises(ServiceError, match="is not there"):
        made(api, "third")


def test_what_is_reserved_above_refuses_nothing_below(api):
    made(api, units=2, marking="S")
    made(api, units=2)
    with pytest.raises(ServiceError, match="ServiceQuotaExceeded"):
        made(api, "more", marking="S")


def test_what_is_deleted_is_let_go_also_while_it_is_made(api, room):
    arn = made(api)
    asked = call("bedrock.DeleteProvisionedModelThroughput")
    api.delete_provisioned_model_throughput(asked, {"provisionedModelId": arn})
    room.settle()
    name = arn.rpartition("/")[2]
    assert room.gone == [name, name]
    with pytest.raises(ServiceError, match="ResourceNotFound"):
        got(api, arn)


def test_it_is_held_again_at_the_next_start_if_its_weights_are_the_same(api, room):
    arn, other = made(api), made(api, "other")
    room.settle()
    api.holding.start()
    assert [name for name, *_ in room.asked] == [
        one.rpartition("/")[2] for one in (arn, other)
    ]  # fmt: skip
    assert (got(api, arn)["status"], got(api, arn)["modelUnits"]) == ("Updating", 0)
    room.settle()
    assert (got(api, arn)["status"], got(api, arn)["modelUnits"]) == ("InService", 1)
    models = api.shelf.models
    models._by_id[SMALL] = msgspec.structs.replace(models._by_id[SMALL], sha256="11")
    with pytest.raises(ServiceError, match="identifier is invalid"):
        called(api, arn)
    api.holding.start()
    assert got(api, arn)["status"] == "Failed"


def test_names_tokens_lists_and_changes(api, room):
    arn = made(api, clientRequestToken="t" * 33, tags=[{"key": "a", "value": "b"}])
    assert made(api, clientRequestToken="t" * 33) == arn, "asked twice"
    with pytest.raises(ServiceError, match="already"):
        made(api)
    api.clock.advance(1)
    made(api, "next")
    assert listed(api) == ["next", "pt"]
    assert listed(api, sortOrder="Ascending", maxResults=1) == ["pt"]
    assert listed(api, nameContains="ex") == ["next"]
    assert listed(api, statusEquals="InService") == []
    asked = call("bedrock.UpdateProvisionedModelThroughput")
    change = {"provisionedModelId": arn, "desiredProvisionedModelName": "renamed"}
    api.update_provisioned_model_throughput(asked, change)
    assert got(api, "renamed")["provisionedModelArn"] == arn
    assert api.shelf.tags_of(call("bedrock.ListTagsForResource"), arn) == {"a": "b"}
    with pytest.raises(ServiceError, match="modelUnits"):
        made(api, "large", units=65)


def test_a_token_stands_for_one_request(api):
    """Else who asks for more is told that it is there."""
    token = "t" * 33
    arn = made(api, clientRequestToken=token)
    with pytest.raises(ServiceError, match="token") as caught:
        made(api, units=2, clientRequestToken=token)
    assert caught.value.code == "ValidationException"  # the operation has no ConflictException
    assert got(api, arn)["desiredModelUnits"] == 1


def test_tags_are_those_that_a_caller_may_give(api):
    for tags in ([{"key": "aws:a", "value": "b"}], [{"key": "a", "value": "b"}] * 2):
        with pytest.raises(ServiceError, match=r"reserved|unique"):
            made(api, tags=tags)
