"""An alert's way to a patrol and back."""

from __future__ import annotations

from dashboards.panels import Curve, Number, Page, Query, Row, quantiles, rate

PAGE = Page(
    "dispatch",
    "dispatch and terminals",
    "From the alert to a terminal's screen and the unit's answer.",
    (
        Row(
            "Now",
            (
                Number("Terminals connected", "short", "sum(alerthub_push_connected_terminals)"),
                Number(
                    "Alerts without a unit",
                    "short",
                    'max(alerthub_dispatch_open_alerts{status="escalated"})',
                    bad=1,
                    description="Escalated to the supervisor.",
                ),
                Number(
                    "Behind on calls",
                    "short",
                    'max(alerthub_kafka_consumer_lag_records{group="dispatch-calls"})',
                    bad=10,
                ),
                Number(
                    "Behind on alerts",
                    "short",
                    'max(alerthub_kafka_consumer_lag_records{group="dispatch-alerts"})',
                    bad=100,
                ),
                Number("Without watchlist", "bool_yes_no", "max(alerthub_dispatch_degraded)", bad=1),
                Number(
                    "Unconfirmed and nearly sent",
                    "short",
                    "sum(alerthub_push_unconfirmed_refused_total)",
                    bad=1,
                    description="Must stay 0 (refusal 6).",
                ),
            ),
        ),
        Row(
            "Dispatch",
            (
                Curve(
                    "From the gateway's receipt to the alert's row",
                    "s",
                    quantiles("alerthub_dispatch_received_to_opened_seconds"),
                    limit=1,
                ),
                Curve(
                    "From the confirmation to the receipt",
                    "s",
                    quantiles("alerthub_dispatch_confirmed_to_received_seconds"),
                    description="Of terminals that were connected when the alert was offered.",
                    limit=2,
                ),
                Curve(
                    "What rules raised, by what became of it",
                    "cps",
                    (Query(rate("alerthub_dispatch_raised_total", "disposition"), "{{disposition}}"),),
                ),
                Curve(
                    "Commands",
                    "cps",
                    (
                        Query(
                            rate("alerthub_dispatch_commands_total", "command, result"),
                            "{{command}}: {{result}}",
                        ),
                    ),
                ),
                Curve(
                    "Deadlines that passed",
                    "cps",
                    (
                        Query(
                            rate("alerthub_dispatch_deadlines_total", "kind, result"), "{{kind}}: {{result}}"
                        ),
                    ),
                ),
                Curve("A batch of alerts", "s", quantiles("alerthub_dispatch_batch_seconds")),
            ),
        ),
        Row(
            "Terminals",
            (
                Curve(
                    "From an alert's change to the terminal's stream",
                    "s",
                    quantiles("alerthub_push_occurred_to_sent_seconds"),
                ),
                Curve(
                    "Alerts sent",
                    "cps",
                    (Query(rate("alerthub_push_messages_total", "details"), "{{details}} details"),),
                ),
                Curve(
                    "Answers of terminals",
                    "cps",
                    (
                        Query(
                            rate("alerthub_push_commands_total", "command, result"),
                            "{{command}}: {{result}}",
                        ),
                    ),
                ),
                Curve(
                    "Streams that ended, by why",
                    "cps",
                    (Query(rate("alerthub_push_streams_ended_total", "reason"), "{{reason}}"),),
                ),
            ),
        ),
    ),
)
