"""How many failed sign-ins one address may make, whatever accounts it names.

The lock-out of an account (`alerthub.domain.accounts`) stops who guesses at one account. Who tries one likely
password at each of many accounts never locks one, so failures are counted by address too.
"""

from __future__ import annotations

import ipaddress

from alerthub.domain.admission import RateLimit

ADDRESS_LIMIT = RateLimit(per_second=1 / 3, burst=60)
"""A whole office, or all terminals behind one radio network's address, mistype less than that."""
ADDRESSES_REMEMBERED = 10_000
"""About a megabyte. The address that was quiet longest is forgotten first."""
NO_ADDRESS = ""


def address_key(address: str) -> str:
    """What is counted for a textual IP address: an IPv4 address, or the /64 of an IPv6 address, which one
    household or one server has all of. `NO_ADDRESS` for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return NO_ADDRESS
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
