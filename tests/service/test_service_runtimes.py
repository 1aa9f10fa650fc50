"""AgentCore Runtime by boto3 on a live region: an agent's ZIP, and its processes."""

import pytest
from tests.runtimes_kit import Agency, plain_agent

ONE, TWO = "session-one-" + "1" * 30, "session-two-" + "2" * 30


@pytest.fixture(scope="module")
def agency(region):
    return Agency(region)


@pytest.fixture(scope="module")
def role(agency):
    return agency.role("worker", "bedrock:InvokeModel")


@pytest.fixture(scope="module")
def plain(agency, role):
    return agency.put("plain.zip", plain_agent())


@pytest.fixture(scope="module")
def agent(agency, role, plain):
    made = agency.make("plain", role, plain, environmentVariables={"COLOUR": "green"})
    assert made["status"] == "READY"
    return made["agentRuntimeArn"]


def test_each_session_is_a_process_of_its_own(agency, agent):
    assert agency.ask(agent, ONE, do="count") == [1, 1]
    assert agency.ask(agent, ONE, do="count") == [2, 2]
    assert agency.ask(agent, TWO, do="count") == [1, 1]
    assert agency.ask(agent, ONE, do="environ", names=["COLOUR"]) == {"COLOUR": "green"}
