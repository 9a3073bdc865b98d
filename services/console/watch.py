"""The tail of `watermarks`, and the canary's receipts on `alert-events`: whether what devices send is
evaluated, and reaches a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError

from alerthub import loops, recent_records
from alerthub.alert_events import TailedEvent
from alerthub.api.v1.alert_pb2 import ALERT_EVENT_KIND_DELIVERED
from alerthub.api.v1.observation_pb2 import Watermarks
from alerthub.domain.canary import is_canary
from alerthub.domain.watching import Canary, Heard, Watching, judge
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from services.console import metrics, models

log = logger(__name__)

TOPIC = "watermarks"
NAMED_DISTRICTS = 100


class Watch:
    """`districts` gives the names of those that have devices, as far as they are known. `canary_set_up` says
    whether there is a canary; None: nobody knows, and a receipt of it tells."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str,
        maximum_age_ms: int,
        districts: Callable[[], Iterable[str]],
        canary_set_up: Callable[[], bool | None],
        canary_age_ms: int,
        now_ms: Callable[[], int],
        on_failure: loops.OnFailure,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._maximum_age_ms = maximum_age_ms
        self._districts = districts
        self._canary_set_up = canary_set_up
        self._canary_age_ms = canary_age_ms
        self._canary_waited_since_ms = now_ms()
        self._canary_heard_ms = 0
        self._now_ms = now_ms
        self._on_failure = on_failure
        self._heard = Heard()
        self._task: asyncio.Task[None] | None = None
        metrics.WATCHING.set_function(lambda: float(self.watching().watching))
        metrics.SILENT_GATEWAYS.set_function(lambda: float(len(self.watching().silent_gateways)))
        metrics.SILENT_DISTRICTS.set_function(lambda: float(len(self.watching().silent_districts)))

    async def start(self) -> None:
        following = recent_records.follow(
            self._settings,
            TOPIC,
            client_id=self._client_id,
            since_ms=self._since_ms,
            take=self.take,
            waiting_event="watermarks_wait_for_broker",
        )
        self._task = loops.begin(following, name="watermarks", on_failure=self._on_failure)

    async def stop(self) -> None:
        await loops.end(self._task)

    def watching(self) -> Watching:
        return judge(
            self._heard,
            self._districts(),
            now_ms=self._now_ms(),
            maximum_age_ms=self._maximum_age_ms,
            canary=self._canary(),
        )

    def silent_districts(self) -> frozenset[str]:
        return frozenset(self.watching().silent_districts)

    def view(self) -> models.WatchState:
        """As the page is told."""
        now = self.watching()
        return models.WatchState(
            watching=now.watching,
            silent_districts=list(now.silent_districts[:NAMED_DISTRICTS]),
            silent_district_count=len(now.silent_districts),
            silent_gateways=list(now.silent_gateways),
            reason=now.reason.english,
            reason_chinese=now.reason.chinese,
        )

    def take(self, value: bytes) -> None:
        """One record of the topic."""
        try:
            told = Watermarks.FromString(value)
        except DecodeError:
            log.warning("watermarks_undecodable")
            return
        self._heard.note(
            told.partition_count,
            {each.partition: each.received_time_ms for each in told.partitions},
            {each.gateway_id: each.received_time_ms for each in told.gateways},
            now_ms=self._now_ms(),
        )

    def take_alert_event(self, tailed: TailedEvent) -> None:
        """One record of `alert-events`: a terminal's receipt for a canary is what is waited for."""
        event = tailed.event
        if event.kind == ALERT_EVENT_KIND_DELIVERED and is_canary(event.alert.category):
            self._canary_heard_ms = max(self._canary_heard_ms, event.occurred_at_ms)

    def _canary(self) -> Canary | None:
        set_up = self._canary_set_up()
        if set_up is False or (set_up is None and not self._canary_heard_ms):
            return None
        heard_ms = max(self._canary_heard_ms, self._canary_waited_since_ms)
        return Canary(heard_ms, self._canary_age_ms)

    def _since_ms(self) -> int:
        # What was said in the last minute tells which partitions and gateways there are.
        return self._now_ms() - 60_000
