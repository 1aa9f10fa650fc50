"""Agents: what bedrock-agent defines, and the turns of bedrock-agent-runtime."""
