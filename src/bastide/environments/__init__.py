"""Environments: what SageMaker image URIs map to; immutable runtimes that jobs run in."""
