"""What is told where Kafka forgot records before they were applied (C15)."""

from __future__ import annotations

from alerthub import lost_records
from alerthub.telemetry import logger
from services.correlator import dead_letters, metrics
from services.correlator.checkpoint import Checkpoint
from services.correlator.outgoing import Send, now_ms

log = logger(__name__)


def tell(
    checkpoint: Checkpoint,
    *,
    send_letter: Send,
    send_alert: Send,
    topic: str,
    partition: int,
    start: int,
    count: int,
) -> None:
    """To SRE (metric, log, letter) and to the office (alert), of `count` records before `start`. Whoever
    begins here again before anything was acknowledged tells it again, by the same id."""
    metrics.BATCHES_LOST.inc(count)
    log.error("batches_lost", topic=topic, partition=partition, count=count)
    told_ms = now_ms()
    letter = dead_letters.letter(
        topic=topic,
        partition=partition,
        offset=start,
        payload=b"",
        reason=f"Kafka forgot {count} batches before this offset that had not been applied",
        time_ms=told_ms,
    )
    alert = lost_records.raised(
        topic=topic, partition=partition, committed=start - count, start=start, time_ms=told_ms
    )
    checkpoint.wait_for(
        send_letter(topic.encode(), letter), send_alert(alert.fold_key.encode(), alert.SerializeToString())
    )
