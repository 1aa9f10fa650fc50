"""AgentCore Runtime: agents that agencies wrote themselves, run in the sandbox, a process for each
session."""
