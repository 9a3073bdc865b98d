"""Whether what the hub promises is kept: on the record, told everywhere, forgotten in time."""

from __future__ import annotations

from dashboards.panels import Curve, Number, Page, Query, Row, rate

PAGE = Page(
    "accountability",
    "accountability",
    "Looks, decisions and changes on the record; what is refused, forgotten, suspended.",
    (
        Row(
            "Now",
            (
                Number("Rows without their place", "short", "sum(alerthub_audit_unchained_rows)", bad=1),
                Number("Oldest audit pass", "s", "max(alerthub_audit_pass_age_seconds)", bad=10),
                Number("Heads the witness lacks", "short", "sum(alerthub_audit_witness_pending)", bad=1),
                Number("Outbox rows that wait", "short", "sum(alerthub_outbox_unsent_rows)", bad=100),
                Number("Topics ahead of their database", "short", "max(alerthub_topic_ahead_keys)", bad=1),
                Number(
                    "Suspended for precision",
                    "short",
                    "sum(max by (kind) (alerthub_dispatch_suspended))",
                    bad=1,
                ),
            ),
        ),
        Row(
            "On the record",
            (
                Curve(
                    "Audit rows chained",
                    "cps",
                    (Query(rate("alerthub_audit_chained_total", "service"), "{{service}}"),),
                ),
                Curve(
                    "Heads signed in two hours",
                    "short",
                    (Query("sum by (service) (increase(alerthub_audit_heads_total[2h]))", "{{service}}"),),
                    description="One is due each hour in which something happened, and one at each stop.",
                ),
                Curve(
                    "Looks at identifying data",
                    "cps",
                    (Query(rate("alerthub_watchlist_opens_total", "for, outcome"), "{{for}}: {{outcome}}"),),
                    description="Each is on the record before it is given (refusal 8).",
                ),
                Curve(
                    "Changes of the watchlist",
                    "cps",
                    (
                        Query(
                            rate("alerthub_watchlist_changes_total", "status, category"),
                            "{{status}}: {{category}}",
                        ),
                    ),
                ),
                Curve(
                    "Changes of the registry",
                    "cps",
                    (
                        Query(
                            rate("alerthub_registry_resources_changed_total", "kind, action"),
                            "{{kind}}: {{action}}",
                        ),
                    ),
                ),
                Curve(
                    "Sign-ins",
                    "cps",
                    (Query(rate("alerthub_registry_sign_ins_total", "outcome"), "{{outcome}}"),),
                ),
            ),
        ),
        Row(
            "Told everywhere",
            (
                Curve(
                    "Outbox rows sent",
                    "cps",
                    (Query(rate("alerthub_outbox_sent_total", "topic"), "{{topic}}"),),
                ),
                Curve(
                    "Outbox rows that wait",
                    "short",
                    (Query("max by (service) (alerthub_outbox_unsent_rows)", "{{service}}"),),
                ),
                Curve(
                    "Evidence sealed for alerts",
                    "cps",
                    (Query(rate("alerthub_dispatch_sealings_total", "result"), "{{result}}"),),
                ),
                Curve(
                    "Evidence that waits to be sealed",
                    "short",
                    (Query("max(alerthub_dispatch_pending_sealings)", "sightings"),),
                ),
            ),
        ),
        Row(
            "Right and wrong",
            (
                Curve(
                    "Outcomes",
                    "cps",
                    (
                        Query(
                            rate("alerthub_dispatch_outcomes_total", "category, outcome"),
                            "{{category}}: {{outcome}}",
                        ),
                    ),
                ),
                Curve(
                    "Waiting for a supervisor",
                    "short",
                    (Query("max by (kind) (alerthub_dispatch_suspended)", "{{kind}}"),),
                    description="Rules, sources and devices below their floor of precision (refusal 9).",
                ),
                Curve(
                    "RPCs by how they ended",
                    "cps",
                    (Query(rate("grpc_server_handled_total", "service, code"), "{{service}}: {{code}}"),),
                ),
                Curve(
                    "Dead letters in an hour",
                    "short",
                    (
                        Query(
                            'sum(increase(alerthub_correlator_batches_total{result="dead_lettered"}[1h]))',
                            "batches",
                        ),
                        Query(
                            "sum by (topic) (increase(alerthub_dispatch_dead_letters_total[1h]))", "{{topic}}"
                        ),
                    ),
                ),
            ),
        ),
    ),
)
