"""`bastide …`: a client of a region's control socket, and of its public APIs. No server code."""
