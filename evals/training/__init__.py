"""How the small models in `guardrails/detect/weights/` were made: each script writes its arrays
and the manifest."""
