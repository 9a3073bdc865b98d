"""Metrics of dispatch. No label names a device, unit, person, entry or token."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("alerthub_dispatch_events_total", "Changes of alerts' lives.", ["kind"])
RAISED = Counter("alerthub_dispatch_raised_total", "Rules that fired, by what became of it.", ["disposition"])
DEAD_LETTERS = Counter("alerthub_dispatch_dead_letters_total", "Records put aside.", ["topic"])
LOST = Counter(
    "alerthub_dispatch_lost_records_total", "Records deleted by Kafka before they were read (C15).", ["topic"]
)
for _topic in ("alerts", "calls"):
    # A counter that begins with its first event hides it from `increase`.
    DEAD_LETTERS.labels(_topic)
    LOST.labels(_topic)
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
for _result in ("sealed", "refused", "retried"):
    SEALINGS.labels(_result)
WITHDRAWN = Counter("alerthub_dispatch_cancelled_total", "Open alerts cancelled under them.", ["cause"])
OPEN_SECONDS = Histogram(
    "alerthub_dispatch_received_to_opened_seconds",
    "From the gateway's receipt of the observation to the alert's row.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30),
)
RECEIPT_SECONDS = Histogram(
    "alerthub_dispatch_confirmed_to_received_seconds",
    "From offering an alert to a unit whose terminal is connected (to the first unit: from the confirmation) "
    "to the terminal's receipt. One that never came counts with the time that was waited for it.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60),
)
OUTCOMES = Counter("alerthub_dispatch_outcomes_total", "What units found.", ["category", "outcome"])
OPEN_ALERTS = Gauge("alerthub_dispatch_open_alerts", "Alerts whose life has not ended.", ["status"])
OLDEST_OPEN = Gauge(
    "alerthub_dispatch_oldest_open_seconds",
    "Age of the oldest alert of this status; 0: there is none.",
    ["status"],
)
SUSPENDED = Gauge(
    "alerthub_dispatch_suspended",
    "Rules, sources and devices that wait for a supervisor (refusal 9).",
    ["kind"],
)
PENDING_SEALINGS = Gauge("alerthub_dispatch_pending_sealings", "Sightings whose evidence is not sealed yet.")
DEGRADED = Gauge("alerthub_dispatch_degraded", "1 while dispatch goes on without this service.", ["without"])
