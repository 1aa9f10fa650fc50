"""IAM JSON policies: parsed strictly when stored, evaluated as AWS does, for every call."""
