"""Lambda's functions: the agency's own Python, run in a cage when it is invoked."""
