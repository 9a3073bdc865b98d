"""For whoever answers for the whole: is the city watched, and are the promises kept."""

from __future__ import annotations

from dashboards.objectives import OBJECTIVES, ratio
from dashboards.panels import Curve, Number, Page, Query, Row, quantiles, rate

OPEN = "max by (status) (alerthub_dispatch_open_alerts)"

PAGE = Page(
    "office",
    "office",
    "Is the city watched, what is open, and are the objectives kept?",
    (
        Row(
            "Now",
            (
                Number("Watching", "bool_yes_no", "max(alerthub_console_watching)", bad=1, low_is_bad=True),
                Number("Silent gateways", "short", "max(alerthub_console_silent_gateways)", bad=1),
                Number("Silent districts", "short", "max(alerthub_console_silent_districts)", bad=1),
                Number("Waiting for a decision", "short", f'{OPEN[:-1]}{{status="awaiting_confirmation"}})'),
                Number("Terminals connected", "short", "sum(alerthub_push_connected_terminals)"),
                Number(
                    "Instances that are not ready",
                    "short",
                    "count(min by (service, instance) (alerthub_ready) == 0) or vector(0)",
                    bad=1,
                ),
            ),
        ),
        Row(
            "The canary",
            (
                Number("Set up", "bool_yes_no", "max(alerthub_canary_set_up)", bad=1, low_is_bad=True),
                Number(
                    "Its terminal is connected",
                    "bool_yes_no",
                    "max(alerthub_canary_connected)",
                    bad=1,
                    low_is_bad=True,
                ),
                Curve(
                    "Since the newest arrived",
                    "s",
                    (
                        Query(
                            "time() - max by (gateway) (alerthub_canary_arrived_timestamp_seconds)",
                            "{{gateway}}",
                        ),
                    ),
                    description="By gateway. Beyond the line somebody is woken.",
                    limit=90,
                ),
                Curve(
                    "From its read to its receipt",
                    "s",
                    quantiles("alerthub_canary_read_to_receipt_seconds"),
                ),
                Curve("Reads", "cps", (Query(rate("alerthub_canary_reads_total", "result"), "{{result}}"),)),
            ),
        ),
        Row(
            "Objectives",
            (
                *(
                    Curve(
                        objective.sentence,
                        "percentunit",
                        (
                            Query(ratio(objective, "5m"), "slower, 5 min"),
                            Query(ratio(objective, "1h"), "slower, 1 h"),
                        ),
                        description="The share that was slower. The line is what the objective allows.",
                        limit=0.01,
                    )
                    for objective in OBJECTIVES
                ),
                Curve(
                    "Accepted, then lost: 0",
                    "short",
                    (
                        Query("sum(increase(alerthub_correlator_batches_lost_total[1h]))", "batches"),
                        Query("sum(increase(alerthub_dispatch_lost_records_total[1h]))", "alerts and calls"),
                    ),
                    description="Deleted by Kafka before they were read (C15), in the last hour.",
                    limit=1,
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                Curve("Open alerts", "short", (Query(OPEN, "{{status}}"),)),
                Curve(
                    "Oldest open alert",
                    "s",
                    (Query("max by (status) (alerthub_dispatch_oldest_open_seconds)", "{{status}}"),),
                ),
                Curve(
                    "What happens to alerts",
                    "cps",
                    (Query(rate("alerthub_dispatch_events_total", "kind"), "{{kind}}"),),
                ),
                Curve(
                    "People at the console",
                    "short",
                    (
                        Query("sum(alerthub_console_sessions)", "signed in"),
                        Query("sum(alerthub_console_feeds)", "pages that are live"),
                    ),
                ),
                Curve(
                    "From an alert's change to the page",
                    "s",
                    quantiles("alerthub_console_occurred_to_sent_seconds"),
                ),
                Curve("Time to answer the page", "s", quantiles("alerthub_console_request_seconds")),
            ),
        ),
    ),
)
