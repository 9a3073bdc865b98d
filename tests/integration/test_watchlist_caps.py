"""How much one person may look at, and who joins when it is more (C13)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
from watchlist_support import (
    OPERATOR,
    SUPERVISOR,
    Hub,
    fresh_watchlist_fixture,  # noqa: F401 - pytest finds it by its name
    look,
    refused,
    sealed,
    start_watchlist_fixture,  # noqa: F401
)

from alerthub.grpc_errors import field_violations

PLATE = "冀RA8HK5"


async def test_watchlist_over_the_cap_a_second_person_is_needed(
    fresh_watchlist: None, start_watchlist: Callable[..., Awaitable[Hub]]
) -> None:
    hub = await start_watchlist(opens_per_person=2)
    entry_id = await hub.listed(PLATE)
    answers = {alert_id: await sealed(hub, alert_id, entry_id=entry_id) for alert_id in ("a1", "a2", "a3")}
    operator = hub.as_person("li", OPERATOR)
    for alert_id in ("a1", "a2", "a2"):
        await operator.OpenAlert(look(alert_id, answers[alert_id]))
    third = look("a3", answers["a3"])
    error = await refused(operator.OpenAlert(third))
    assert [violation.field for violation in field_violations(error)] == ["second_person_token"]
    for token in (hub.token("li", OPERATOR, SUPERVISOR), hub.token("wang", OPERATOR), "x"):
        third.second_person_token = token
        assert (await refused(operator.OpenAlert(third))).code() is grpc.StatusCode.PERMISSION_DENIED
    third.second_person_token = hub.token("wang", SUPERVISOR)
    assert (await operator.OpenAlert(third)).details.identifier == PLATE
    rows = await hub.audit("AlertOpened")
    assert rows[-1][4] == f"entry:{entry_id}, with person:wang"
