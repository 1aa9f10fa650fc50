"""Models and endpoints: SageMaker's hosting API over `jobs`, and the runtime that calls them."""
