"""Peers: lock files of their own venvs, and the scripts that run in them."""
