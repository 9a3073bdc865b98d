"""Metrics of push. No label names a terminal, unit, person or entry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONNECTED = Gauge("alerthub_push_connected_terminals", "Terminals with a stream.")
PUSHED = Counter("alerthub_push_messages_total", "Alerts sent to terminals.", ["details"])
REFUSED = Counter(
    "alerthub_push_unconfirmed_refused_total", "Unconfirmed alerts that were not sent. Must stay 0."
)
ENDED = Counter("alerthub_push_streams_ended_total", "Streams that ended, by why.", ["reason"])
ANSWERED = Counter("alerthub_push_commands_total", "Commands of terminals.", ["command", "result"])
WITHOUT_WATCHLIST = Gauge("alerthub_push_without_watchlist", "1 while alerts go out without details.")
PUSH_SECONDS = Histogram(
    "alerthub_push_occurred_to_sent_seconds",
    "From the change of an alert to its message on the stream.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30),
)
