"""The patrol terminal as a program for a keyboard: alerts on the left, the chosen one on the right."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.markup import escape
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, Label, Static

from alerthub.api.v1.alert_pb2 import (
    OUTCOME_ENTRY_WRONG,
    OUTCOME_FOUND,
    OUTCOME_MISREAD,
    OUTCOME_NOT_FOUND,
    OUTCOME_OTHER,
    AssignmentStatus,
    Outcome,
)
from alerthub.api.v1.common_pb2 import Severity
from alerthub.api.v1.observation_pb2 import Direction
from alerthub.api.v1.patrol_pb2 import AlertPush, CommandAnswer
from alerthub.terminal.client import TerminalClient
from alerthub.terminal.events import CommandAnswered, Link, LinkChanged, ScreenChanged, TerminalEvent
from alerthub.terminal.screen_state import assignment_status, awaits_answer, in_hand
from alerthub.terminal.words import Language, word

OUTCOMES = (
    OUTCOME_FOUND,
    OUTCOME_MISREAD,
    OUTCOME_ENTRY_WRONG,
    OUTCOME_NOT_FOUND,
    OUTCOME_OTHER,
)
"""In the order of the keys 1 to 5."""


def card(push: AlertPush, language: Language, *, now_ms: int) -> str:
    """What the officer reads of one alert, as markup. `now_ms` is the terminal's clock."""

    def line(name: str, value: str) -> str:
        return f"[b]{word(name, language)}[/b]  {escape(value)}"

    alert = push.alert
    lines = [f"[b]{escape(language.of(alert.officer_text))}[/b]", ""]
    if push.HasField("details"):
        details = push.details
        lines += [
            line("identifier", details.identifier),
            line("vehicle", " ".join(part for part in (details.colour, details.make) if part)),
            line("instruction", language.of(details.instruction)),
            line("case", details.case_number),
            line("contact", f"{details.issuing_authority} {details.authority_contact}".strip()),
        ]
    else:
        why = language.choose(
            chinese=push.details_missing_reason_chinese, english=push.details_missing_reason
        )
        lines.append(line("without_details", why))
    if alert.sightings:
        seen = alert.sightings[-1]
        place = f"{seen.position.latitude:.5f}, {seen.position.longitude:.5f}  {seen.device_id}"
        heading = word(Direction.Name(seen.direction), language) if seen.direction else ""
        age = max(0, now_ms - (seen.corrected_time_ms or seen.received_time_ms)) // 1000
        lines += [
            line("where", place),
            line("heading", heading),
            line("read_age", f"{age} {word('seconds', language)}"),
            line(
                "clock_uncertainty", f"± {seen.clock_uncertainty_ms / 1000:.1f} {word('seconds', language)}"
            ),
        ]
        if not push.picture and seen.picture_missing_reason:
            why = language.choose(
                chinese=seen.picture_missing_reason_chinese, english=seen.picture_missing_reason
            )
            lines.append(line("picture", why))
    return "\n".join(lines)


class OutcomeChoice(ModalScreen[int]):
    """Asks what was found; gives the outcome's number, 0 for going back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(index), f"choose({value})") for index, value in enumerate(OUTCOMES, start=1)),
        Binding("escape", "choose(0)"),
    ]

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._language = language

    def compose(self) -> ComposeResult:
        choices = [
            f"{index}  {word(Outcome.Name(value), self._language)}" for index, value in enumerate(OUTCOMES, 1)
        ]
        yield Label("\n".join([word("which_outcome", self._language), "", *choices]))

    def action_choose(self, value: int) -> None:
        """Ends the question."""
        self.dismiss(value)


class DeclineReason(ModalScreen[str]):
    """Asks why the unit cannot go; gives the reason, empty for going back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back")]

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._language = language

    def compose(self) -> ComposeResult:
        yield Label(word("why_declined", self._language))
        yield Input(max_length=500)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter gives the reason."""
        self.dismiss(event.value.strip())

    def action_back(self) -> None:
        """Declines nothing."""
        self.dismiss("")


class TerminalProgram(App[None]):
    """The program. `client_for` gets what the program does with each event and gives the client to run."""

    CSS = """
    #link { height: 1; padding: 0 1; background: $warning; color: $text; }
    #link.confirmed { background: $success; }
    #link.unconfirmed { background: $error; text-style: bold; }
    #alerts { width: 1fr; } #card { width: 1fr; padding: 0 1; }
    #message { height: 1; padding: 0 1; } #keys { height: 1; padding: 0 1; background: $panel; }
    OutcomeChoice, DeclineReason { align: center middle; }
    OutcomeChoice Label, DeclineReason Label { padding: 1 2; background: $panel; }
    DeclineReason Input { width: 60; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept"),
        Binding("d", "decline"),
        Binding("o", "outcome"),
        Binding("l", "language"),
        Binding("q", "quit"),
    ]

    def __init__(
        self,
        client_for: Callable[[Callable[[TerminalEvent], None]], TerminalClient],
        *,
        language: Language,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__()
        self._client = client_for(self.take)
        self._language = language
        self._now_ms = now_ms
        self._link = Link.DISCONNECTED
        self._standing = Link.UNCONFIRMED
        self._connecting: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="link")
        with Horizontal():
            yield DataTable[str](id="alerts", cursor_type="row")
            with VerticalScroll():
                yield Static(id="card")
        yield Static(id="message")
        yield Static(id="keys")

    async def on_mount(self) -> None:
        """Shows what was stored, then connects."""
        self.title = word("title", self._language)
        await self._client.load()
        self._connecting = asyncio.create_task(self._client.run())
        self._draw()
        self.set_interval(1.0, self._draw_card)

    async def on_unmount(self) -> None:
        """Ends the connection. What was not sent stays in the outbox."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting

    def take(self, event: TerminalEvent) -> None:
        """Shows one event of the client; nothing while the program ends, when there is nothing to show it
        on."""
        if not self.is_running:
            return
        match event:
            case LinkChanged(link=(Link.CONFIRMED | Link.UNCONFIRMED) as standing):
                self._standing = standing
            case LinkChanged():
                if event.link is Link.CONNECTED and self._link is Link.REFUSED:
                    self._say("")
                self._link = event.link
                if event.link in (Link.SIGNED_OFF, Link.REFUSED):
                    why = self._language.choose(chinese=event.reason_chinese, english=event.reason)
                    self._say(f"{word(event.link.value, self._language)}: {why}")
            case CommandAnswered() if event.kind in ("accept", "decline", "record_outcome"):
                result = CommandAnswer.Result.Name(event.result).removeprefix("RESULT_").lower()
                detail = self._language.choose(chinese=event.detail_chinese, english=event.detail)
                self._say(f"{word(f'answered_{result}', self._language)} {detail}")
            case ScreenChanged() if event.change.removal is not None:
                text = self._language.of(event.change.push.alert.officer_text)
                why = word(f"removed_{event.change.removal.value}", self._language)
                self._say(f"{why}: {text} {self._language.of(event.change.explanation)}")
                self.bell()
            case ScreenChanged() if awaits_answer(event.change.push):
                self.bell()
        self._draw()

    def _say(self, text: str) -> None:
        self.query_one("#message", Static).update(escape(text))

    def _draw(self) -> None:
        if self._connecting is None:
            return
        language = self._language
        link = self.query_one("#link", Static)
        link.set_class(self._standing is Link.CONFIRMED, "confirmed")
        link.set_class(self._standing is Link.UNCONFIRMED, "unconfirmed")
        screen = self._client.screen
        told = [self._standing, self._link] if self._standing is Link.UNCONFIRMED else [self._standing]
        words = " · ".join(word(item.value, language) for item in told)
        link.update(f"{words}   {escape(screen.unit_id)} {escape(screen.officer)}")
        keys = [("a", "accept"), ("d", "decline"), ("o", "outcome"), ("l", "language"), ("q", "quit")]
        self.query_one("#keys", Static).update(
            "  ".join(f"[b]{key}[/b] {word(name, language)}" for key, name in keys)
        )
        self._draw_table()
        self._draw_card()

    def _draw_table(self) -> None:
        table = self.query_one("#alerts", DataTable)
        chosen = self._chosen()
        table.clear(columns=True)
        table.add_columns(
            *(word(name, self._language) for name in ("severity", "what", "state", "sightings"))
        )
        ordered = sorted(self._client.screen.alerts.values(), key=lambda push: -push.alert.severity)
        for push in ordered:
            alert = push.alert
            table.add_row(
                word(Severity.Name(alert.severity), self._language),
                escape(self._language.of(alert.officer_text)[:40]),
                word(AssignmentStatus.Name(assignment_status(push)), self._language),
                str(alert.sighting_count),
                key=alert.alert_id,
            )
        if chosen is not None and chosen.alert.alert_id in self._client.screen.alerts:
            table.move_cursor(row=table.get_row_index(chosen.alert.alert_id))

    def _draw_card(self) -> None:
        if not self.is_running:
            return
        chosen = self._chosen()
        text = (
            word("no_alerts", self._language)
            if chosen is None
            else card(chosen, self._language, now_ms=self._now_ms())
        )
        self.query_one("#card", Static).update(text)

    def _chosen(self) -> AlertPush | None:
        table = self.query_one("#alerts", DataTable)
        if table.row_count == 0:
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return self._client.screen.alerts.get(key or "")

    def on_data_table_row_highlighted(self) -> None:
        """Another alert was chosen."""
        self._draw_card()

    async def action_accept(self) -> None:
        """The unit takes the chosen alert."""
        chosen = self._chosen()
        if chosen is not None and awaits_answer(chosen):
            await self._client.accept(chosen.alert.alert_id, chosen.assignment_id)

    def action_decline(self) -> None:
        """Asks why, then declines the chosen alert."""
        chosen = self._chosen()
        if chosen is None or not awaits_answer(chosen):
            return

        async def decline(reason: str | None) -> None:
            if reason:
                await self._client.decline(chosen.alert.alert_id, chosen.assignment_id, reason)

        self.push_screen(DeclineReason(self._language), decline)

    def action_outcome(self) -> None:
        """Asks what was found, then records it."""
        chosen = self._chosen()
        if chosen is None or not in_hand(chosen):
            return

        async def record(value: int | None) -> None:
            if value:
                outcome = Outcome.ValueType(value)
                await self._client.record_outcome(chosen.alert.alert_id, chosen.assignment_id, outcome)

        self.push_screen(OutcomeChoice(self._language), record)

    def action_language(self) -> None:
        """Chinese to English and back."""
        self._language = self._language.other()
        self._draw()
