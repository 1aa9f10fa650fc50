"""The second engine: Cedar, asked after the lattice has said yes (docs/decisions/0030)."""
