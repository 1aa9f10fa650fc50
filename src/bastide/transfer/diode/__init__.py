"""Bundles over a wire that carries nothing back: datagrams, of which some may be lost."""
