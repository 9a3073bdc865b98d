"""Kafka and PostgreSQL, as the services that use them see them (docs/adr/0015)."""

from __future__ import annotations

from dashboards.panels import Curve, Number, Page, Query, Row, rate

PAGE = Page(
    "infrastructure",
    "Kafka and PostgreSQL",
    "Kafka and PostgreSQL, as the services that use them see them; and processes, disks, clocks.",
    (
        Row(
            "Now",
            (
                Number("Brokers", "short", "max(alerthub_kafka_brokers)", bad=1, low_is_bad=True),
                Number(
                    "Partitions without leader",
                    "short",
                    "sum(max by (topic) (alerthub_kafka_partitions_without_leader))",
                    bad=1,
                ),
                Number(
                    "Partitions with a replica behind",
                    "short",
                    "sum(max by (topic) (alerthub_kafka_partitions_under_replicated))",
                    bad=1,
                ),
                Number("Kafka last answered", "s", "min(alerthub_kafka_answered_age_seconds)", bad=60),
                Number(
                    "Connections to PostgreSQL",
                    "percentunit",
                    "max(alerthub_postgres_connections) / min(alerthub_postgres_connections_limit)",
                    bad=0.8,
                ),
                Number(
                    "Least free disk",
                    "percentunit",
                    "min(alerthub_disk_free_bytes / alerthub_disk_size_bytes)",
                    bad=0.15,
                    low_is_bad=True,
                ),
            ),
        ),
        Row(
            "Kafka",
            (
                Curve(
                    "Records written, by topic",
                    "cps",
                    (
                        Query(
                            "max by (topic) (rate(alerthub_kafka_end_offset[$__rate_interval]))", "{{topic}}"
                        ),
                    ),
                ),
                Curve(
                    "Records kept, by topic",
                    "short",
                    (Query("max by (topic) (alerthub_kafka_kept_offsets)", "{{topic}}"),),
                    description="From the log's start to its end; compaction may have emptied it in between.",
                ),
                Curve(
                    "Records not processed",
                    "short",
                    (
                        Query(
                            "max by (group, topic) (alerthub_kafka_consumer_lag_records)",
                            "{{group}}: {{topic}}",
                        ),
                    ),
                ),
                Curve(
                    "How far groups are behind",
                    "s",
                    (Query("alerthub:consumer_lag:seconds", "{{group}}: {{topic}}"),),
                    limit=60,
                ),
                Curve(
                    "How long Kafka takes to say where it stands",
                    "s",
                    (Query("max by (service) (alerthub_kafka_answer_seconds)", "{{service}}"),),
                ),
                Curve(
                    "Partitions, by topic",
                    "short",
                    (Query("max by (topic) (alerthub_kafka_partitions)", "{{topic}}"),),
                ),
            ),
        ),
        Row(
            "PostgreSQL",
            (
                Curve(
                    "Transactions",
                    "cps",
                    (
                        Query(
                            "max by (outcome) (rate(alerthub_postgres_transactions[$__rate_interval]))",
                            "{{outcome}}",
                        ),
                    ),
                ),
                Curve(
                    "Blocks found in memory, since statistics began",
                    "percentunit",
                    (
                        Query(
                            'max(alerthub_postgres_blocks{found="in_memory"}) / '
                            "max(sum without (found) (alerthub_postgres_blocks))",
                            "of all that were asked for",
                        ),
                    ),
                ),
                Curve(
                    "Connections",
                    "short",
                    (
                        Query("max(alerthub_postgres_connections)", "open"),
                        Query("max(alerthub_postgres_waiting_locks)", "locks that are waited for"),
                    ),
                ),
                Curve(
                    "Oldest open transaction",
                    "s",
                    (
                        Query(
                            "max by (service) (alerthub_postgres_oldest_transaction_seconds)", "{{service}}"
                        ),
                    ),
                    limit=60,
                ),
                Curve(
                    "Size",
                    "bytes",
                    (
                        Query("max(alerthub_postgres_database_bytes)", "database"),
                        Query("max by (service) (alerthub_postgres_schema_bytes)", "{{service}}"),
                    ),
                ),
                Curve(
                    "Rows",
                    "short",
                    (
                        Query(
                            "max by (service, state) (alerthub_postgres_rows)",
                            "{{service}}, {{state}}",
                        ),
                    ),
                ),
                Curve(
                    "Deadlocks and temporary files",
                    "short",
                    (
                        Query("max(increase(alerthub_postgres_deadlocks[1h]))", "deadlocks, last hour"),
                        Query(
                            "max(increase(alerthub_postgres_temporary_bytes[1h])) / 2^20",
                            "MiB of temporary files, last hour",
                        ),
                    ),
                ),
                Curve(
                    "How long PostgreSQL takes to answer",
                    "s",
                    (Query("max by (service) (alerthub_postgres_answer_seconds)", "{{service}}"),),
                ),
            ),
        ),
        Row(
            "Processes",
            (
                Curve(
                    "Processor",
                    "short",
                    (
                        Query(
                            rate("process_cpu_seconds_total", "service", '{job="alerthub"}'),
                            "{{service}}",
                        ),
                    ),
                    description="Cores.",
                ),
                Curve(
                    "Memory",
                    "bytes",
                    (
                        Query(
                            'sum by (service) (process_resident_memory_bytes{job="alerthub"})', "{{service}}"
                        ),
                    ),
                ),
                Curve(
                    "Clocks, against Prometheus",
                    "s",
                    (
                        Query(
                            "abs(alerthub_time_seconds - timestamp(alerthub_time_seconds))",
                            "{{service}} {{instance}}",
                        ),
                    ),
                    limit=1,
                ),
                Curve(
                    "Series of a process",
                    "short",
                    (Query('max by (service) (scrape_samples_scraped{job="alerthub"})', "{{service}}"),),
                    limit=20_000,
                ),
            ),
        ),
    ),
)
