"""AgentDojo against our agents: what somebody who writes into an agent's tools can make it do."""
