"""What a person's new password must be."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from alerthub.domain.accounts import check_new_password
from alerthub.domain.errors import Refuse
from alerthub.embedded.folder import HubFolder
from alerthub.provision.accounts import ensure_demo_accounts, forget_password


def test_a_sentence_of_any_characters_will_do() -> None:
    check_new_password(account="li.wei", old="first", new="今天天气很好我们去公园散步")
    check_new_password(account="li.wei", old="first", new="correct horse battery")
    check_new_password(account="a", old="first", new="correct horse battery")


@pytest.mark.parametrize(
    "new",
    [
        "short",
        "elevenchars",
        "the old password",
        "i am Li.Wei of the desk",
        "aaaaaaaaaaaaaaaa",
        "123412341234",
    ],
)
def test_what_is_guessed_first_is_refused_without_repeating_it(new: str) -> None:
    with pytest.raises(Refuse) as refused:
        check_new_password(account="li.wei", old="the old password", new=new)
    assert refused.value.field == "new_password"
    assert new not in str(refused.value)


def test_the_hubs_file_forgets_who_chose_a_password_and_nobody_else(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path / "data")
    folder.create()
    ensure_demo_accounts(folder)
    before = {each["account"] for each in json.loads(folder.accounts_file.read_text())["accounts"]}
    forget_password(folder, "operator")
    after = {each["account"] for each in json.loads(folder.accounts_file.read_text())["accounts"]}
    assert before - after == {"operator"}
    assert stat.S_IMODE(folder.accounts_file.stat().st_mode) == 0o600


def test_a_folder_without_the_file_stays_so(tmp_path: Path) -> None:
    folder = HubFolder(tmp_path)
    forget_password(folder, "operator")
    assert not folder.accounts_file.exists()
