"""Guardrails on both databases: versions that stay as they are, labels, and what is held."""

from dataclasses import replace

import pytest
from tests.guardrails_kit import FakeDetectors
from tests.inference_kit import ACCOUNT, GOV, OTHER, call
from tests.labels_kit import at, marks
from tests.officers_kit import Agreed

from bastide.guardrails.applying import Applying
from bastide.guardrails.guardrails import GUARDRAILS_MAX, VERSIONS_MAX, Guardrails
from bastide.guardrails.loosening import Holding
from bastide.guardrails.shelf import Shelf
from bastide.guardrails.tag_keeper import TagKeeper
from bastide.guardrails.windows import TEXT_MAX
from bastide.kernel.approvals import NotApproved
from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SystemIds

MESSAGES = {"blockedInputMessaging": "No question.", "blockedOutputsMessaging": "No answer."}


def words(*texts):
    return {"wordPolicyConfig": {"wordsConfig": [{"text": text} for text in texts]}}


class Desk:
    """The operations on one database; `agreed` says whether two officers have signed."""

    def __init__(self, database):
        self.shelf = Shelf(
            region=GOV, database=database, clock=SystemClock(), ids=SystemIds(),
            marks=marks(database),
        )  # fmt: skip
        self.officers = Agreed(agreed=False)
        self.officers.carry_out = self._carry_out
        self.database = database
        holding = Holding(database=database, approvals=self.officers, arn=self.shelf.arn)
        self.api = Guardrails(shelf=self.shelf, holding=holding)
        self.applying = Applying(shelf=self.shelf, detectors=FakeDetectors(), clock=SystemClock())
        self.keeper = TagKeeper(shelf=self.shelf)

    def _carry_out(self, kind, action, requester, effect):
        self.officers.require(kind, action, requester)
        return self.database.write(effect)

    def make(self, by=None, name="g", **policies):
        req = {"name": name, **MESSAGES, **(policies or words("secret"))}
        return self.api.create_guardrail(by or working_at("U"), req)["guardrailId"]

    def update(self, id_, by=None, **policies):
        req = {"guardrailIdentifier": id_, "name": "g", **MESSAGES, **policies}
        return self.api.update_guardrail(by or working_at("U"), req)

    def version(self, id_, **more):
        req = {"guardrailIdentifier": id_, **more}
        return self.api.create_guardrail_version(working_at("U"), req)["version"]

    def blocks(self, id_, text, version="DRAFT", by=None):
        content = [{"text": {"text": text}}]
        req = {"guardrailIdentifier": id_, "guardrailVersion": version, "source": "INPUT"}
        answer = self.applying.apply_guardrail(by or working_at("U"), {**req, "content": content})
        return answer["action"] == "GUARDRAIL_INTERVENED"


@pytest.fixture
def desk(database):
    return Desk(database)


def working_at(marking, account=ACCOUNT):
    made = call("bedrock.CreateGuardrail", account)
    return replace(made, principal=replace(made.principal, **at(marking)))


def refused(work, *args, **more):
    with pytest.raises(ServiceError) as caught:
        work(*args, **more)
    return caught.value.code


def test_a_version_stays_as_it_is(desk):
    id_ = desk.make()
    assert desk.version(id_) == "1"
    desk.update(id_, **words("secret", "hidden"))
    assert desk.version(id_, clientRequestToken="t") == "2"
    assert desk.version(id_, clientRequestToken="t") == "2"  # the same call again
    assert [desk.blocks(id_, "hidden", v) for v in ("1", "2", "DRAFT")] == [False, True, True]


def test_looser_waits_and_changes_nothing(desk):
    id_ = desk.make(**words("secret", "hidden"))
    with pytest.raises(NotApproved):
        desk.update(id_, **words("secret"))
    assert desk.blocks(id_, "hidden")
    desk.officers.agreed = True
    desk.update(id_, **words("secret"))
    assert not desk.blocks(id_, "hidden")
    ((_, action, requester),) = desk.officers.used
    assert action["looser"] == [
        "word hidden, INPUT: BLOCK becomes nothing",
        "word hidden, OUTPUT: BLOCK becomes nothing",
    ]
    assert requester == working_at("U").principal.arn


def test_what_was_published_goes_by_two(desk):
    mine, published = desk.make(name="mine"), desk.make(name="published")
    desk.version(published)
    desk.api.delete_guardrail(working_at("U"), {"guardrailIdentifier": mine})
    for more in ({}, {"guardrailVersion": "1"}):
        req = {"guardrailIdentifier": published, **more}
        with pytest.raises(NotApproved):
            desk.api.delete_guardrail(working_at("U"), req)
    assert desk.blocks(published, "secret", "1")
    desk.officers.agreed = True
    one = {"guardrailIdentifier": published, "guardrailVersion": "1"}
    desk.api.delete_guardrail(working_at("U"), one)
    assert refused(desk.blocks, published, "secret", "1") == "ResourceNotFoundException"
    assert desk.version(published) == "2"  # a number is not given twice


def test_a_version_that_is_made_at_that_moment_is_not_deleted_by_one(desk):
    id_ = desk.make()

    class Meanwhile:
        def delete(self, call, one, number, work):
            desk.version(id_)
            desk.api.holding.delete(call, one, number, work)

    hurried = replace(desk.api, holding=Meanwhile())
    gone = {"guardrailIdentifier": id_}
    assert refused(hurried.delete_guardrail, working_at("U"), gone) == "ConflictException"
    assert desk.blocks(id_, "secret", "1")


def test_what_lies_above_is_found_by_none(desk):
    low, high = desk.make(), desk.make(working_at("S"))  # of one name
    assert desk.blocks(low, "secret", by=working_at("S"))
    for work in (
        lambda: desk.blocks(high, "secret"),
        lambda: desk.api.get_guardrail(working_at("U"), {"guardrailIdentifier": high}),
        lambda: desk.update(high, **words("secret")),
        lambda: desk.api.delete_guardrail(working_at("U"), {"guardrailIdentifier": high}),
        lambda: desk.version(high),
        lambda: desk.keeper.tags_of(working_at("U"), desk.shelf.arn(ACCOUNT, high)),
    ):
        assert refused(work) == "ResourceNotFoundException"
    listed = desk.api.list_guardrails(working_at("U"), {})["guardrails"]
    assert [row["id"] for row in listed] == [low]
    assert len(desk.api.list_guardrails(working_at("S"), {})["guardrails"]) == 2
    arn = desk.shelf.arn(ACCOUNT, high)
    assert desk.shelf.label(working_at("U").principal, arn) is None
    assert refused(desk.update, low, working_at("S"), **words("secret")) == "AccessDeniedException"


def test_another_account_finds_nothing(desk):
    id_, other = desk.make(), working_at("U", OTHER)
    assert refused(desk.blocks, id_, "secret", by=other) == "ResourceNotFoundException"
    assert desk.api.list_guardrails(other, {})["guardrails"] == []
    arn = desk.shelf.arn(ACCOUNT, id_)
    assert refused(desk.blocks, arn, "secret", by=other) == "ResourceNotFoundException"
    assert desk.blocks(arn, "secret")


def test_pages(desk):
    made = {desk.make(name=f"g{number}") for number in range(5)}
    found, req = [], {"maxResults": 2}
    while True:
        answer = desk.api.list_guardrails(working_at("U"), req)
        found += [row["id"] for row in answer["guardrails"]]
        if "nextToken" not in answer:
            break
        req["nextToken"] = answer["nextToken"]
    assert set(found) == made
    assert len(found) == 5


def test_there_are_so_many_and_no_more(desk):
    ids = [desk.make(name=f"g{number}") for number in range(GUARDRAILS_MAX)]
    assert refused(desk.make, name="one-more") == "ServiceQuotaExceededException"
    assert desk.make(working_at("S"), name="above")  # takes no place from what is below
    for _ in range(VERSIONS_MAX):
        desk.version(ids[0])
    assert refused(desk.version, ids[0]) == "ServiceQuotaExceededException"


def test_a_text_has_a_bound(desk):
    id_ = desk.make()
    assert not desk.blocks(id_, "x " * (TEXT_MAX // 2))
    assert refused(desk.blocks, id_, "x" * (TEXT_MAX + 1)) == "ValidationException"
    assert refused(desk.blocks, id_, "x" * 25_000_000) == "ValidationException"


@pytest.mark.parametrize(
    ("policies", "code"),
    [
        (words("\u200b"), "ValidationException"),
        ({"wordPolicyConfig": {}}, "ValidationException"),
        (
            {
                "contentPolicyConfig": {
                    "filtersConfig": [
                        {"type": "PROMPT_ATTACK", "inputStrength": "LOW", "outputStrength": "LOW"}
                    ]
                }
            },
            "ValidationException",
        ),
        (
            {
                "topicPolicyConfig": {
                    "topicsConfig": [{"name": "t", "definition": "d", "type": "DENY"}],
                    "tierConfig": {"tierName": "STANDARD"},
                }
            },
            "UnsupportedOperation",
        ),
        (
            {
                "contextualGroundingPolicyConfig": {
                    "filtersConfig": [{"type": "GROUNDING", "threshold": 1.0}]
                }
            },
            "ValidationException",
        ),
    ],
)
def test_what_no_guardrail_can_be(desk, policies, code):
    assert refused(desk.make, **policies) == code
