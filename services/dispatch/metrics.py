"""Metrics of dispatch. No label names a device, unit, person, entry or token."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("alerthub_dispatch_events_total", "Changes of alerts' lives.", ["kind"])
RAISED = Counter("alerthub_dispatch_raised_total", "Rules that fired, by what became of it.", ["disposition"])
DEAD_LETTERS = Counter("alerthub_dispatch_dead_letters_total", "Records put aside.", ["topic"])
LOST = Counter(
    "alerthub_dispatch_lost_records_total", "Records deleted by Kafka before they were read (C15).", ["topic"]
)
BATCH_SECONDS = Histogram(
    "alerthub_dispatch_batch_seconds",
    "Time to take one batch of raised alerts into the database.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
COMMANDS = Counter(
    "alerthub_dispatch_commands_total", "Commands of people and terminals.", ["command", "result"]
)
DEADLINES = Counter("alerthub_dispatch_deadlines_total", "Deadlines that passed.", ["kind", "result"])
SEALINGS = Counter("alerthub_dispatch_sealings_total", "Alerts' evidence sealed again.", ["result"])
WITHDRAWN = Counter("alerthub_dispatch_cancelled_total", "Open alerts cancelled under them.", ["cause"])
OPEN_SECONDS = Histogram(
    "alerthub_dispatch_received_to_opened_seconds",
    "From the gateway's receipt of the observation to the alert's row.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30),
)
DEGRADED = Gauge("alerthub_dispatch_degraded", "1 while dispatch goes on without this service.", ["service"])
