"""Training jobs: SageMaker's API over `jobs`, with the /opt/ml contract inside."""
