"""What devices send, and what becomes of it until Kafka has it."""

from __future__ import annotations

from dashboards.panels import Curve, Number, Page, Query, Row, quantiles, rate

PAGE = Page(
    "ingest",
    "ingest",
    "Gateways: what devices send, what is refused and why, pictures, keys.",
    (
        Row(
            "Now",
            (
                Number(
                    "Observations a second",
                    "cps",
                    "sum(rate(alerthub_gateway_observations_accepted_total[$__rate_interval]))",
                ),
                Number("In flight to Kafka", "short", "sum(alerthub_gateway_in_flight)"),
                Number(
                    "Oldest word from watchlist",
                    "s",
                    "max(alerthub_gateway_key_synchronisation_age_seconds)",
                    bad=10,
                ),
                Number("Streaming pictures", "bytes", "sum(alerthub_gateway_picture_store_bytes)"),
                Number("Gateways behind the keys", "short", "max(alerthub_watchlist_gateways_behind)", bad=1),
                Number(
                    "Devices suspended, last hour",
                    "short",
                    "sum(increase(alerthub_gateway_device_suspensions_total[1h]))",
                    bad=1,
                ),
            ),
        ),
        Row(
            "Taken",
            (
                Curve(
                    "Observations by adapter",
                    "cps",
                    (Query(rate("alerthub_gateway_observations_accepted_total", "adapter"), "{{adapter}}"),),
                    description="Acknowledged by Kafka, and only then to the device (C1).",
                ),
                Curve(
                    "Not taken, by reason",
                    "cps",
                    (Query(rate("alerthub_gateway_refused_total", "reason"), "{{reason}}"),),
                ),
                Curve(
                    "Without a check authorisation",
                    "cps",
                    (
                        Query(
                            rate("alerthub_gateway_observations_stripped_total", "adapter"),
                            "lost their identifiers, {{adapter}}",
                        ),
                        Query(
                            rate("alerthub_gateway_identifiers_dropped_total", "adapter"),
                            "identifiers, {{adapter}}",
                        ),
                    ),
                    description="Refusal 4: dropped at the gateway, and counted.",
                ),
                Curve(
                    "Time to answer a device",
                    "s",
                    quantiles("alerthub_gateway_request_seconds"),
                ),
            ),
        ),
        Row(
            "To Kafka",
            (
                Curve(
                    "From the first observation of a batch to Kafka's word",
                    "s",
                    quantiles("alerthub_gateway_broker_seconds"),
                ),
                Curve(
                    "Batches",
                    "cps",
                    (Query(rate("alerthub_gateway_batches_total", "outcome"), "{{outcome}}"),),
                    description="Each gateway writes an empty one to each partition every second (C11).",
                ),
                Curve(
                    "Observations of a batch",
                    "short",
                    (
                        Query(
                            "sum(rate(alerthub_gateway_batch_observations_sum[$__rate_interval])) / "
                            "sum(rate(alerthub_gateway_batch_observations_count[$__rate_interval]))",
                            "on average",
                        ),
                    ),
                ),
                Curve(
                    "How long a batch waits for more",
                    "s",
                    (Query("max by (instance) (alerthub_gateway_linger_seconds)", "{{instance}}"),),
                ),
            ),
        ),
        Row(
            "Pictures and keys",
            (
                Curve(
                    "Pictures by what became of them",
                    "cps",
                    (Query(rate("alerthub_gateway_pictures_total", "outcome"), "{{outcome}}"),),
                ),
                Curve(
                    "Files of pictures forgotten, by why",
                    "cps",
                    (Query(rate("alerthub_gateway_pictures_swept_total", "reason"), "{{reason}}"),),
                ),
                Curve(
                    "Since watchlist last answered",
                    "s",
                    (
                        Query(
                            "max by (instance) (alerthub_gateway_key_synchronisation_age_seconds)",
                            "{{instance}}",
                        ),
                    ),
                    limit=10,
                ),
                Curve(
                    "Age of the epoch in force",
                    "s",
                    (Query("max(alerthub_watchlist_epoch_age_seconds)", "epoch"),),
                    limit=86_400,
                ),
            ),
        ),
    ),
)
