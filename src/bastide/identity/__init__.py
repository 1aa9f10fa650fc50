"""Agencies, users, roles, their keys, policies and sessions: AWS's IAM and STS."""
