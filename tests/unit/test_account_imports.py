"""Accounts from a spreadsheet: what differs is proposed, and who had left is not brought back unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from alerthub.api.v1 import access_pb2, registry_pb2
from alerthub.cli import account_imports
from alerthub.cli.account_imports import changes_of, read_grants
from alerthub.cli.csv_table import Problems
from alerthub.domain.accounts import Grant

CHINESE = Path(__file__).parents[2] / "services" / "console" / "web" / "src" / "i18n" / "zh.json"


def listed(
    account: str, *roles: access_pb2.Role.ValueType, revoked: bool = False
) -> registry_pb2.ListedAccount:
    return registry_pb2.ListedAccount(account=account, roles=roles, revoked=revoked)


def test_only_what_differs_is_proposed_and_a_return_is_told_apart() -> None:
    officer = ("ROLE_OFFICER",)
    wanted = [Grant(name, officer) for name in ("same", "other", "new", "back")]
    there = {
        "same": listed("same", access_pb2.ROLE_OFFICER),
        "other": listed("other", access_pb2.ROLE_OPERATOR),
        "back": listed("back", access_pb2.ROLE_OFFICER, revoked=True),
        "unnamed": listed("unnamed", access_pb2.ROLE_AUDITOR),
    }
    changes = changes_of(wanted, there)
    assert [(each.grant.account, each.action) for each in changes] == [
        ("other", "change"),
        ("new", "add"),
        ("back", "return"),
    ]
    assert [str(each) for each in changes] == [
        "~ other: operator → officer",
        "+ new: officer",
        "! back: RETURNS, had left: officer",
    ]


def test_roles_are_read_in_both_languages_and_wrong_lines_are_told(tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_text(
        "账号,角色,状态\nli.wei,警员;operator,\nold,警员,left\nwang,chief,\nli.wei,警员,\nzhao,警员,away\n",
        encoding="utf-8",
    )
    problems = Problems()
    found = read_grants(file, problems)
    assert found == [Grant("li.wei", ("ROLE_OFFICER", "ROLE_OPERATOR"))]
    assert [(each.line, each.column.split()[0]) for each in problems.told] == [
        (4, "roles"),
        (5, "account"),
        (6, "state"),
    ]


def test_roles_have_the_chinese_names_that_the_console_shows() -> None:
    shown = json.loads(CHINESE.read_text(encoding="utf-8"))
    names = next(value["roles"] for value in shown.values() if isinstance(value, dict) and "roles" in value)
    assert {name: role.replace("-", "_") for name, role in account_imports.CHINESE_ROLES.items()} == {
        name: role for role, name in names.items()
    }


@pytest.mark.parametrize("name", ["../etc", "a/b", ""])
def test_the_id_of_an_import_names_no_other_file(name: str) -> None:
    with pytest.raises(typer.Exit):
        account_imports.password_file_name(name)
