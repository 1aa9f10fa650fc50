"""What an assessor asks for: the log's verifier, and CloudTrail's look-up of events."""
