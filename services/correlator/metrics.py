"""What the correlator counts. No label is a device, an entry or a token; categories and kinds are few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from alerthub.domain.partition_state import Counts

BATCHES = Counter("alerthub_correlator_batches_total", "Batches applied.", ["result"])
for _result in ("applied", "skipped", "dead_lettered", "not_ours", "out_of_order"):
    # A counter that begins with its first event hides it from `increase`.
    BATCHES.labels(_result)
OBSERVATIONS = Counter(
    "alerthub_correlator_observations_total",
    "Observations evaluated by this process, replays included; the ledger holds each once.",
    ["result"],
)
RAISED = Counter("alerthub_correlator_raised_total", "Alerts raised.", ["rule_kind", "category"])
RULE_FAILURES = Counter(
    "alerthub_correlator_rule_failures_total",
    "Errors that rules raised; each suspends its version.",
    ["rule_kind"],
)
SUSPENDED_RULES = Gauge("alerthub_correlator_suspended_rules", "Versions of rules that raised an error.")
NOT_COVERED = Counter(
    "alerthub_correlator_hits_not_covered_total", "Hits that no check authorisation in force covers."
)
PASSAGE_BATCHES = Counter(
    "alerthub_correlator_passage_batches_total", "Records of passages, by what became of them.", ["result"]
)
PASSAGES = Counter(
    "alerthub_correlator_passages_total",
    "Reads that the second agent was given, by what became of them; replays included.",
    ["result"],
)
for _result in ("applied", "skipped", "dead_lettered", "not_ours", "out_of_order"):
    PASSAGE_BATCHES.labels(_result)
for _result in ("applied", "repeat", "late", "without_rule", "after_a_hole"):
    PASSAGES.labels(_result)
PASSAGES_SENT = Counter(
    "alerthub_correlator_passages_sent_total", "Reads that cross-district rules asked for; replays included."
)
PASSAGE_BATCHES_SENT = Counter(
    "alerthub_correlator_passage_batches_sent_total", "Records that they were packed into."
)
PLATES_OVERFLOWED = Counter(
    "alerthub_correlator_plates_overflowed_total",
    "Plates whose reads were given up because a piece of the second agent's state had too many.",
)
STAYS_OVERFLOWED = Counter(
    "alerthub_correlator_stays_overflowed_total", "Stays given up because a district had too many."
)
READ_TO_ALERT = Histogram(
    "alerthub_correlator_received_to_raised_seconds",
    "From the gateway's reception to the alert.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
)
WITHDRAWN_TO_UNMATCHED = Histogram(
    "alerthub_correlator_withdrawn_to_unmatched_seconds",
    "From an entry's withdrawal or expiry to when nothing matches it here any more.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
)
CHECKPOINT_SECONDS = Histogram("alerthub_correlator_checkpoint_seconds", "Duration of checkpoints.")
CHECKPOINT_AGE = Gauge(
    "alerthub_correlator_checkpoint_age_seconds", "Since the last checkpoint was complete, or the start."
)
CHECKPOINTS_ABANDONED = Counter(
    "alerthub_correlator_checkpoints_abandoned_total", "Checkpoints that ended with their assignment."
)
STATE_BYTES = Counter("alerthub_correlator_state_bytes_total", "Bytes of state written down.")
BATCHES_LOST = Counter(
    "alerthub_correlator_batches_lost_total", "Batches that Kafka forgot before they were applied (C15)."
)
TIMES_READ_AGAIN = Counter(
    "alerthub_correlator_times_read_again_total",
    "Times that batches had been passed over and were read again.",
)
BUFFERED_BYTES = Gauge("alerthub_correlator_buffered_bytes", "Batches that wait to be applied.")
PARTITIONS = Gauge("alerthub_correlator_partitions", "Partitions held.")
ENTRIES = Gauge("alerthub_correlator_entries", "Watchlist entries in the replica.")


class Ledger(Collector):
    """How every observation ended, once each, whatever was replayed: it is part of the state that is
    written down.

    The sum over all correlators is the hub's; a partition that is being moved is missing meanwhile.
    """

    def __init__(self, totals: Callable[[], Mapping[int, Counts]]) -> None:
        self._totals = totals

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "alerthub_correlator_ledger_observations",
            "Observations by how they ended, since the topic began.",
            labels=["result"],
        )
        sums = Counts()
        for counts in self._totals().values():
            sums.received += counts.received
            sums.repeats += counts.repeats
            sums.matched += counts.matched
            sums.late += counts.late
            sums.without_identifiers += counts.without_identifiers
            sums.dead_lettered_batches += counts.dead_lettered_batches
        ended = sums.repeats + sums.matched + sums.late + sums.without_identifiers
        for result, value in (
            ("received", sums.received),
            ("forgotten", sums.received - ended),
            ("matched", sums.matched),
            ("late", sums.late),
            ("without_identifiers", sums.without_identifiers),
            ("repeat", sums.repeats),
        ):
            family.add_metric([result], value)
        yield family
        yield GaugeMetricFamily(
            "alerthub_correlator_ledger_dead_lettered_batches",
            "Batches that nothing could be read of.",
            value=sums.dead_lettered_batches,
        )
