"""What people read, in the two languages of the city."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """One text in Chinese and in English; empty where it is not known in that language."""

    chinese: str = ""
    english: str = ""


NO_TEXT = LocalizedText()

ROLES_IN_CHINESE = {
    "ROLE_OPERATOR": "接警员",
    "ROLE_SUPERVISOR": "值班长",
    "ROLE_WATCHLIST_EDITOR": "布控录入员",
    "ROLE_WATCHLIST_APPROVER": "布控审批员",
    "ROLE_REGISTRY_EDITOR": "登记管理员",
    "ROLE_AUDITOR": "审计员",
    "ROLE_OFFICER": "警员",
    "ROLE_RELIABILITY_ENGINEER": "运维工程师",
}
"""By the role's name on the wire: as the office, its tables and the page say it."""
