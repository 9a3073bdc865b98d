"""An officer made of code, for self-tests and demonstrations."""

from __future__ import annotations

from alerthub.api.v1.alert_pb2 import Outcome
from alerthub.api.v1.patrol_pb2 import CommandAnswer
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.events import CommandAnswered, ScreenChanged, TerminalEvent
from alerthub.terminal.screen_state import awaits_answer, in_hand


class AutomaticOfficer:
    """Answers each assignment once. `outcome` of None: what is accepted stays in hand."""

    def __init__(self, client: TerminalClient, *, accepts: bool, outcome: Outcome.ValueType | None) -> None:
        self._client = client
        self._accepts = accepts
        self._outcome = outcome

    async def resume(self) -> None:
        """Answers what was on the screen when the terminal was switched off."""
        for alert_id in list(self._client.screen.alerts):
            await self._answer(alert_id)

    async def take(self, event: TerminalEvent) -> None:
        """Does what `event` calls for."""
        match event:
            case ScreenChanged(change=change) if change.removal is None:
                await self._answer(change.alert_id)
            case CommandAnswered(kind="accept", result=CommandAnswer.Result.RESULT_DONE):
                await self._answer(event.alert_id)

    async def _answer(self, alert_id: str) -> None:
        # The command ids are those of the assignment, so that a second answer is the first one repeated.
        push = self._client.screen.alerts.get(alert_id)
        if push is None:
            return
        if self._accepts and awaits_answer(push):
            await self._client.accept(alert_id, push.assignment_id)
        if self._outcome is not None and in_hand(push):
            await self._client.record_outcome(alert_id, push.assignment_id, self._outcome)
