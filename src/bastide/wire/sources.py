"""Whom an address stands for, where what is shared goes by address."""

from ipaddress import IPv6Address


def source_of(address: str) -> str:
    """Whom an address stands for: an IPv6 host has a whole /64 to choose from."""
    if ":" not in address:
        return address
    host = IPv6Address(address.partition("%")[0])
    return str(host.ipv4_mapped or f"{IPv6Address(int(host) >> 64 << 64)}/64")
