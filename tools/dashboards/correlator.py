"""Matching and rules: whether everything is evaluated, how fast, and against what."""

from __future__ import annotations

from dashboards.panels import Curve, Number, Page, Query, Row, quantiles, rate

LAG = 'alerthub:consumer_lag:seconds{group="correlator"}'

PAGE = Page(
    "correlator",
    "correlator",
    "Is everything evaluated, how fast, and against fresh knowledge?",
    (
        Row(
            "Now",
            (
                Number("Partitions held", "short", "sum(alerthub_correlator_partitions)"),
                Number("Behind", "s", f"max({LAG})", bad=60),
                Number("Oldest checkpoint", "s", "max(alerthub_correlator_checkpoint_age_seconds)", bad=60),
                Number(
                    "Stale replicas",
                    "short",
                    'count(alerthub_replica_ready{service="correlator"} == 0) or vector(0)',
                    bad=1,
                ),
                Number("Suspended rules", "short", "max(alerthub_correlator_suspended_rules)", bad=1),
                Number("Watchlist entries", "short", "max(alerthub_correlator_entries)"),
            ),
        ),
        Row(
            "Evaluated",
            (
                Curve(
                    "Observations by what became of them",
                    "cps",
                    (Query(rate("alerthub_correlator_observations_total", "result"), "{{result}}"),),
                    description="Replays included; the ledger holds each once.",
                ),
                Curve(
                    "The ledger",
                    "short",
                    (
                        Query(
                            "sum by (result) (alerthub_correlator_ledger_observations)",
                            "{{result}}",
                        ),
                    ),
                    description="How every observation ended, once each, since the topic began.",
                ),
                Curve(
                    "Alerts raised",
                    "cps",
                    (
                        Query(
                            rate("alerthub_correlator_raised_total", "rule_kind, category"),
                            "{{rule_kind}} {{category}}",
                        ),
                    ),
                ),
                Curve(
                    "From the gateway's receipt to the alert",
                    "s",
                    quantiles("alerthub_correlator_received_to_raised_seconds"),
                    limit=1,
                ),
                Curve(
                    "From a withdrawal to no match",
                    "s",
                    quantiles("alerthub_correlator_withdrawn_to_unmatched_seconds"),
                    limit=2,
                ),
                Curve(
                    "Batches by result",
                    "cps",
                    (Query(rate("alerthub_correlator_batches_total", "result"), "{{result}}"),),
                ),
            ),
        ),
        Row(
            "Getting on",
            (
                Curve("Behind", "s", (Query(LAG, "{{topic}}"),), limit=60),
                Curve(
                    "Batches that wait in memory",
                    "bytes",
                    (Query("sum by (instance) (alerthub_correlator_buffered_bytes)", "{{instance}}"),),
                ),
                Curve("Duration of checkpoints", "s", quantiles("alerthub_correlator_checkpoint_seconds")),
                Curve(
                    "State written",
                    "Bps",
                    (Query(rate("alerthub_correlator_state_bytes_total", "instance"), "{{instance}}"),),
                ),
                Curve(
                    "Age of the newest bookmark",
                    "s",
                    (
                        Query(
                            'max by (topic) (alerthub_replica_bookmark_age_seconds{service="correlator"})',
                            "{{topic}}",
                        ),
                    ),
                    description="Above ten seconds nothing is matched (C9).",
                    limit=10,
                ),
                Curve(
                    "Processor and memory",
                    "short",
                    (
                        Query(
                            'rate(process_cpu_seconds_total{job="alerthub",service="correlator"}[$__rate_interval])',
                            "cores, {{instance}}",
                        ),
                        Query(
                            'process_resident_memory_bytes{job="alerthub",service="correlator"} / 2^30',
                            "GiB, {{instance}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
