"""One address may fail to sign in so often, whatever accounts it names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerthub.api.v1 import registry_pb2
from alerthub.domain.admission import RateLimit
from alerthub.domain.rates import Rates
from alerthub.domain.sign_in_addresses import NO_ADDRESS, address_key
from services.registry.account_handlers import AccountHandlers
from services.registry.grpc_api import SessionServicer, peer_address
from services.registry.session_handlers import SessionHandlers

NOW = 1_800_000_000_000
LIMIT = RateLimit(per_second=0.5, burst=3)


def after_failures(count: int, *, key: str = "192.0.2.1") -> Rates:
    addresses = Rates(LIMIT, remembered=100)
    for _ in range(count):
        assert addresses.take(key, 1, now_ms=NOW) == 0
    return addresses


def test_so_many_failures_are_looked_at_and_one_more_is_told_when() -> None:
    assert after_failures(3).take("192.0.2.1", 1, now_ms=NOW) == pytest.approx(2)


def test_another_address_is_not_kept_out() -> None:
    assert after_failures(3).take("192.0.2.2", 1, now_ms=NOW) == 0


def test_the_allowance_comes_back_with_time() -> None:
    assert after_failures(3).take("192.0.2.1", 1, now_ms=NOW + 2_000) == 0


def test_who_knows_the_password_uses_nothing_up() -> None:
    addresses = Rates(LIMIT, remembered=100)
    for _ in range(100):
        assert addresses.take("192.0.2.1", 1, now_ms=NOW) == 0
        addresses.give_back("192.0.2.1")


def test_a_success_does_not_wipe_out_the_failures_of_others_behind_the_address() -> None:
    addresses = after_failures(2)
    addresses.take("192.0.2.1", 1, now_ms=NOW)
    addresses.give_back("192.0.2.1")
    assert addresses.take("192.0.2.1", 1, now_ms=NOW) == 0
    assert addresses.take("192.0.2.1", 1, now_ms=NOW) > 0


@given(st.lists(st.integers(0, 50), max_size=200))
def test_no_more_addresses_are_remembered_than_agreed(numbers: list[int]) -> None:
    addresses = Rates(LIMIT, remembered=10)
    for number in numbers:
        addresses.take(f"192.0.2.{number}", 1, now_ms=NOW)
        addresses.give_back(f"192.0.2.{number + 1}")
    assert len(addresses) <= 10


def test_the_address_that_was_quiet_longest_is_forgotten_first() -> None:
    addresses = Rates(LIMIT, remembered=2)
    for key in ("a", "a", "a", "b", "a", "c"):
        addresses.take(key, 1, now_ms=NOW)
    assert addresses.take("a", 1, now_ms=NOW) > 0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", NO_ADDRESS),
        ("unix", NO_ADDRESS),
    ],
)
def test_what_is_counted_for_an_address(address: str, key: str) -> None:
    assert address_key(address) == key


@given(st.text())
def test_any_text_has_a_key(text: str) -> None:
    assert len(address_key(text)) <= 45


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50123", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50123", "2001:db8::1"),
        ("ipv6:[2001:db8::1]:50123", "2001:db8::1"),
        ("unix:/run/registry.sock", ""),
        ("", ""),
    ],
)
def test_grpcs_name_of_a_peer_holds_its_address(peer: str, address: str) -> None:
    assert peer_address(peer) == address


class Addresses:
    """Notes the address that a sign-in came from."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def sign_in(self, *_: str, address: str) -> registry_pb2.SignInResponse:
        self.seen.append(address)
        return registry_pb2.SignInResponse()

    async def open(self, *_: str, address: str) -> registry_pb2.OpenSessionResponse:
        self.seen.append(address)
        return registry_pb2.OpenSessionResponse()


async def test_a_sign_in_counts_for_the_caller_and_a_browsers_for_the_browser() -> None:
    noted = Addresses()
    servicer = SessionServicer(cast(AccountHandlers, noted), cast(SessionHandlers, noted))
    context: Any = SimpleNamespace(peer=lambda: "ipv4:192.0.2.1:50123")
    await servicer.SignIn(registry_pb2.SignInRequest(), context)
    await servicer.OpenSession(registry_pb2.OpenSessionRequest(client_address="198.51.100.7"), context)
    assert noted.seen == ["192.0.2.1", "198.51.100.7"]
