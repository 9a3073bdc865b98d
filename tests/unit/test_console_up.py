"""What `alerthub up` says of the console."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from alerthub.cli import up
from alerthub.embedded.folder import HubFolder
from alerthub.provision.accounts import ensure_demo_accounts

URL = "https://127.0.0.1:4711"


def said(folder: HubFolder, *, demo: bool) -> str:
    screen = Console(file=io.StringIO(), width=200)
    up._say_where(screen, folder)
    if demo:
        up._say_sign_in(screen, folder)
    return screen.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def a_hub(root: Path) -> HubFolder:
    folder = HubFolder(root)
    folder.create()
    ensure_demo_accounts(folder)
    folder.write_hub({"gateway_url": "https://127.0.0.1:1", "console_url": URL})
    return folder


def test_up_says_where_the_console_is_and_no_password(tmp_path: Path) -> None:
    folder = a_hub(tmp_path / "hub")
    text = said(folder, demo=False)
    assert URL in text
    assert "password" not in text


def test_the_demo_says_a_sign_in_that_is_another_in_each_hub(tmp_path: Path) -> None:
    sign_ins = set()
    for name in ("one", "two"):
        text = said(a_hub(tmp_path / name), demo=True)
        (line,) = [line for line in text.splitlines() if "Sign in" in line]
        assert "operator" in line
        sign_ins.add(line.rsplit(" ", 1)[-1])
    assert len(sign_ins) == 2
    assert all(len(each) >= 20 for each in sign_ins)
