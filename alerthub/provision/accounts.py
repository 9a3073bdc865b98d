"""The accounts that a new hub begins with: random passwords, in a file for its owner's eyes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence

from alerthub.embedded.folder import HubFolder, write_file

INITIAL_ACCOUNTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("editor", ("ROLE_WATCHLIST_EDITOR",)),
    ("approver", ("ROLE_WATCHLIST_APPROVER",)),
    ("operator", ("ROLE_OPERATOR",)),
    ("supervisor", ("ROLE_SUPERVISOR", "ROLE_OPERATOR")),
    ("administrator-one", ("ROLE_REGISTRY_EDITOR",)),
    ("administrator-two", ("ROLE_REGISTRY_EDITOR",)),
    ("auditor", ("ROLE_AUDITOR",)),
    ("engineer", ("ROLE_RELIABILITY_ENGINEER",)),
    *((f"officer-{number}", ("ROLE_OFFICER",)) for number in range(1, 4)),
)
"""One person a role, so that no demo teaches anybody to enter and approve with one account."""


FIRST_ADMINISTRATORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("administrator-one", ("ROLE_REGISTRY_EDITOR",)),
    ("administrator-two", ("ROLE_REGISTRY_EDITOR",)),
)
"""What a hub needs to grow from: two persons, since no one makes an account alone (S6)."""


def ensure_demo_accounts(folder: HubFolder, *, officers: int = 3) -> None:
    """Writes `accounts.json` where there is none. The registry reads it once, while it has no accounts.

    Accounts with the names of their roles are for a hub on the loopback: the registry refuses the file where
    it listens elsewhere (S7).
    """
    more = tuple((f"officer-{number}", ("ROLE_OFFICER",)) for number in range(4, officers + 1))
    ensure_accounts(folder, (*INITIAL_ACCOUNTS, *more), loopback_only=True)


def ensure_accounts(
    folder: HubFolder, accounts: Iterable[tuple[str, Sequence[str]]], *, loopback_only: bool = False
) -> bool:
    """Writes `accounts.json` with these accounts (name and roles) and random passwords where there is none;
    whether it did."""
    if folder.accounts_file.exists():
        return False
    content = {
        "loopback_only": loopback_only,
        "accounts": [
            {"account": name, "password": secrets.token_urlsafe(18), "roles": list(roles)}
            for name, roles in accounts
        ],
    }
    write_file(folder.accounts_file, json.dumps(content, indent=2) + "\n", mode=0o600)
    return True


def forget_password(folder: HubFolder, account: str) -> None:
    """Takes an account out of the file: its person chose a password that nobody else is to read."""
    if not folder.accounts_file.exists():
        return
    content = json.loads(folder.accounts_file.read_text(encoding="utf-8"))
    kept = [each for each in content["accounts"] if each["account"] != account]
    write_file(folder.accounts_file, json.dumps(content | {"accounts": kept}, indent=2) + "\n", mode=0o600)
