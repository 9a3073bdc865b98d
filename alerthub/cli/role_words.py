"""Roles as persons write them: ROLE_WATCHLIST_EDITOR is `watchlist-editor`."""

from __future__ import annotations

from alerthub.api.v1 import access_pb2


def word_of(role: str) -> str:
    """The word for a role's name on the wire."""
    return role.removeprefix("ROLE_").lower().replace("_", "-")


ROLE_OF_WORD = {word_of(role): role for role in access_pb2.Role.keys()[1:]}
"""Every role's name on the wire, by its word."""
