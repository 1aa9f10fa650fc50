"""Evaluations: `python -m evals.NAME --data PATH [--model ID] [--limit N] [--seed S] [--json]`.
Each prints how well something is done, with n, seed and a 95 % interval, also where it falls short.
"""
