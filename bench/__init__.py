"""Benchmarks: `python -m bench.NAME [--json]`. Each prints what it measured, also where we lose."""
