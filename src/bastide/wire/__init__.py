"""AWS's protocols as a library, driven by botocore's service models. Knows no context."""
