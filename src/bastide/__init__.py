"""Bastide: the Bedrock, SageMaker and S3 APIs, really executed, on your own machines."""

__version__ = "0.1.0"
