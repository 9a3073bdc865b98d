"""The accounts that a new hub begins with: random passwords, in a file for its owner's eyes."""

from __future__ import annotations

import json
import secrets

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


def ensure_accounts(folder: HubFolder, *, officers: int = 3) -> None:
    """Writes `accounts.json` where there is none. The registry reads it once, while it has no accounts."""
    if folder.accounts_file.exists():
        return
    accounts = [
        *INITIAL_ACCOUNTS,
        *((f"officer-{number}", ("ROLE_OFFICER",)) for number in range(4, officers + 1)),
    ]
    content = {
        "accounts": [
            {"account": name, "password": secrets.token_urlsafe(18), "roles": list(roles)}
            for name, roles in accounts
        ]
    }
    write_file(folder.accounts_file, json.dumps(content, indent=2) + "\n", mode=0o600)


def forget_password(folder: HubFolder, account: str) -> None:
    """Takes an account out of the file: its person chose a password that nobody else is to read."""
    if not folder.accounts_file.exists():
        return
    content = json.loads(folder.accounts_file.read_text(encoding="utf-8"))
    kept = [each for each in content["accounts"] if each["account"] != account]
    write_file(folder.accounts_file, json.dumps(content | {"accounts": kept}, indent=2) + "\n", mode=0o600)
