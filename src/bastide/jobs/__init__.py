"""Jobs: a pure state machine, a runner that does what it says, a sandbox on the node."""
