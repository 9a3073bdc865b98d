"""How many failed sign-ins one address may make, whatever accounts it names.

The lock-out of an account (`alerthub.domain.accounts`) stops who guesses at one account. Who tries one likely
password at each of many accounts never locks one, so failures are counted by address too.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

from alerthub.domain.admission import RateLimit, RateState, take

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


@dataclass(slots=True)
class SignInAddresses:
    """The failures of addresses. Each try takes its place before it is looked at, so that many at once are
    counted too; one that does not fail gives it back."""

    limit: RateLimit = ADDRESS_LIMIT
    remembered: int = ADDRESSES_REMEMBERED
    _states: OrderedDict[str, RateState] = field(default_factory=OrderedDict)

    def begin(self, key: str, *, now_ms: int) -> float:
        """0: the try may be looked at. Else the seconds after which one may."""
        state, wait_seconds = take(self._states.get(key), self.limit, 1, now_ms=now_ms)
        self._put(key, state)
        return wait_seconds

    def give_back(self, key: str) -> None:
        """Of a try that succeeded, or that was not looked at after all."""
        state = self._states.get(key)
        if state is not None:
            self._put(key, RateState(min(self.limit.burst, state.left + 1), state.at_ms))

    def _put(self, key: str, state: RateState) -> None:
        self._states[key] = state
        self._states.move_to_end(key)
        while len(self._states) > self.remembered:
            self._states.popitem(last=False)

    def __len__(self) -> int:
        return len(self._states)
