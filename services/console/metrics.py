"""Metrics of the console. No label names a person, an alert or a device."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REFUSED = Counter("alerthub_console_refused_total", "Requests that were refused.", ["route", "status"])
SECONDS = Histogram(
    "alerthub_console_request_seconds",
    "Time to answer a request; of a feed, nothing.",
    ["method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
SESSIONS = Gauge("alerthub_console_sessions", "People who are signed in.")
FEEDS = Gauge("alerthub_console_feeds", "Streams to pages.")
FEEDS_ENDED = Counter("alerthub_console_feeds_ended_total", "Streams that ended, by why.", ["reason"])
SNAPSHOTS = Counter("alerthub_console_snapshots_total", "Snapshots sent to pages.")
FEED_SECONDS = Histogram(
    "alerthub_console_occurred_to_sent_seconds",
    "From the change of an alert to its event on a page's stream.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30),
)
SILENT_GATEWAYS = Gauge(
    "alerthub_console_silent_gateways", "Gateways of which nothing newer was evaluated for ten seconds (C11)."
)
SILENT_DISTRICTS = Gauge(
    "alerthub_console_silent_districts", "Districts of which nothing newer was evaluated for ten seconds."
)
WATCHING = Gauge("alerthub_console_watching", "1 while everything that devices send is evaluated.")
