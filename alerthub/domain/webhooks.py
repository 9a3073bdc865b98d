"""Where the hub may send to by itself (S4): an approved HTTPS address outside every private network.

A webhook's address is a setting of the deployment. It is resolved once, and what it resolved to is held: a
name that points elsewhere later (DNS rebinding) is not followed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from alerthub.domain.errors import Refuse

_LONGEST_URL = 2_000
_CARRY_ANOTHER_ADDRESS = tuple(
    ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
"""NAT64, 6to4 and Teredo: such an address leads to an IPv4 address inside it (RFC 6052, 8215, 3056, 4380)."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """An approved address: a host's name, a TCP port, and path with query."""

    host: str
    port: int
    path: str


def webhook_target(url: str, *, field: str) -> WebhookTarget:
    """Reads an address. Refuses, naming the setting `field` and never the address: it can hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise Refuse(field, "an address such as https://witness.example/heads") from None
    if parts.scheme != "https" or not parts.hostname or len(url) > _LONGEST_URL or not url.isascii():
        raise Refuse(field, "an address such as https://witness.example/heads")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Refuse(field, "an address without a user, a password or a fragment")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise Refuse(field, "an address without blanks")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(parts.hostname, port, path)


def pinned_address(addresses: Sequence[str], *, field: str) -> str:
    """The address to hold of all that a host's name resolved to. Refuses when any of them is not public: a
    name must not lead inside by luck of the draw."""
    if not addresses:
        raise Refuse(field, "a host whose name resolves")
    for each in addresses:
        if not is_public(each):
            raise Refuse(field, "a host outside private, local and reserved networks")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether a textual IP address is one that the whole internet can have."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found.scope_id or any(found in network for network in _CARRY_ANOTHER_ADDRESS):
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved
