"""The tail of `watermarks`: whether what devices send is evaluated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError

from alerthub import loops, recent_records
from alerthub.api.v1.observation_pb2 import Watermarks
from alerthub.domain.watching import Heard, Watching, judge
from alerthub.settings import KafkaSettings
from alerthub.telemetry import logger
from services.console import metrics, models

log = logger(__name__)

TOPIC = "watermarks"
NAMED_DISTRICTS = 100


class Watch:
    """`districts` gives the names of those that have devices, as far as they are known."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str,
        maximum_age_ms: int,
        districts: Callable[[], Iterable[str]],
        now_ms: Callable[[], int],
        on_failure: loops.OnFailure,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._maximum_age_ms = maximum_age_ms
        self._districts = districts
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
            self._heard, self._districts(), now_ms=self._now_ms(), maximum_age_ms=self._maximum_age_ms
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
            reason=now.reason,
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

    def _since_ms(self) -> int:
        # What was said in the last minute tells which partitions and gateways there are.
        return self._now_ms() - 60_000
