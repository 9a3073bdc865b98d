"""Fixtures of the console's tests: one hub, one browser, and a fresh desk for each story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from desk import Browser, Desk
from office import Office


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what needs no office: it starts hubs of its own, and the office's need not run beside them."""
    items.sort(key=lambda item: isinstance(item, pytest.Function) and "office" in item.fixturenames)


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    running = Office(tmp_path_factory.mktemp("office"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def browser(office: Office) -> Iterator[Browser]:
    running = Browser(office.address)
    yield running
    running.stop()


_numbers = count(1)


@pytest.fixture
def new_desk(browser: Browser) -> Iterator[Callable[..., Desk]]:
    """A desk with cookies of its own. After the story: no policy was broken, no exception was left."""
    made: list[Desk] = []

    def make(**options: Any) -> Desk:
        made.append(Desk(browser, f"desk-{next(_numbers)}", **options))
        return made[-1]

    yield make
    for desk in made:
        violations, errors = desk.violations(), desk.errors()
        desk.run("await context.close()")
        assert violations == []
        assert errors == []
