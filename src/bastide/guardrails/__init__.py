"""Guardrails: what they forbid, and what finds it in a text (`detect/`)."""
