"""Tags of agents and of their aliases, on both databases."""

import pytest
from tests.agents_kit import INSTRUCTION, MODEL, Desk, caller
from tests.sagefakes import OTHER, ROLE

from bastide.agents.book import agent_arn, alias_arn
from bastide.kernel.errors import ServiceError

LABEL = "bastide:label"


@pytest.fixture
def desk(database):
    return Desk(database)


def tags_of(desk, arn, who=None):
    return desk.do("list_tags_for_resource", who, resourceArn=arn)["tags"]


def test_tags_of_an_agent_and_of_its_alias(desk):
    agent_id = desk.agent(tags={"team": "red", LABEL: "U"})
    arn = agent_arn(caller(), agent_id)
    assert "tags" not in desk.do("get_agent", agentId=agent_id)["agent"]
    assert tags_of(desk, arn) == {"team": "red", LABEL: "U"}
    desk.do("tag_resource", resourceArn=arn, tags={"team": "blue", "cost": "7"})
    desk.do("untag_resource", resourceArn=arn, tagKeys=["cost", "none"])
    asked = {"agentName": "clerk", "foundationModel": MODEL, "instruction": INSTRUCTION,
             "agentResourceRoleArn": ROLE}  # fmt: skip
    desk.do("update_agent", agentId=agent_id, **asked)
    assert tags_of(desk, arn) == {"team": "blue", LABEL: "U"}
    desk.do("prepare_agent", agentId=agent_id)
    made = desk.do(
        "create_agent_alias", agentId=agent_id, agentAliasName="live", tags={"stage": "prod"}
    )["agentAlias"]
    alias = made["agentAliasArn"]
    desk.do("tag_resource", resourceArn=alias, tags={"b": "2"})
    desk.do(
        "update_agent_alias", agentId=agent_id, agentAliasId=made["agentAliasId"],
        agentAliasName="live", routingConfiguration=[{"agentVersion": "1"}],
    )  # fmt: skip
    assert tags_of(desk, alias) == {"stage": "prod", "b": "2"}
    who = caller().principal
    assert desk.book.tags(who, alias) == {"stage": "prod", "b": "2"}
    assert desk.book.tags(who, arn)["team"] == "blue"
    assert desk.book.tags(caller(account=OTHER).principal, arn) == {}


def test_tags_have_bounds(desk):
    arn = agent_arn(caller(), desk.agent(tags={str(n): "" for n in range(49)}))
    desk.do("tag_resource", resourceArn=arn, tags={"one": ""})
    for tags, code in (
        ({"more": ""}, "ServiceQuotaExceeded"),
        ({"AWS:x": ""}, "reserved"),
        ({LABEL: "S"}, "UnsupportedOperation"),
    ):
        with pytest.raises(ServiceError, match=code):
            desk.do("tag_resource", resourceArn=arn, tags=tags)
    with pytest.raises(ServiceError, match="label"):
        desk.do("untag_resource", resourceArn=arn, tagKeys=[LABEL])
    assert len(tags_of(desk, arn)) == 50


def test_tags_of_what_is_above_anothers_or_no_agent(desk):
    agent_id = desk.agent(who=caller(marking="S"), tags={"a": "1"})
    arn, test = agent_arn(caller(), agent_id), alias_arn(caller(), agent_id, "TSTALIASID")
    elsewhere = arn.replace("us-gov-west-1", "us-gov-east-1")
    above = caller(marking="S")
    for who, name in (
        (caller(), arn), (caller(account=OTHER, marking="S"), arn), (above, elsewhere),
        (above, f"{arn}/x"), (above, test), (above, agent_id),
    ):  # fmt: skip
        for operation, more in (
            ("list_tags_for_resource", {}),
            ("tag_resource", {"tags": {"x": "y"}}),
            ("untag_resource", {"tagKeys": ["a"]}),
        ):
            with pytest.raises(ServiceError, match=r"ResourceNotFound|UnsupportedOperation"):
                desk.do(operation, who, resourceArn=name, **more)
    assert tags_of(desk, arn, above) == {"a": "1"}
    below = agent_arn(caller(), desk.agent(tags={"a": "1"}))
    assert tags_of(desk, below, above) == {"a": "1"}
    with pytest.raises(ServiceError, match="AccessDenied"):
        desk.do("tag_resource", above, resourceArn=below, tags={"x": "y"})
