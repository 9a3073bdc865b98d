"""The whole hub on one machine: real Kafka and PostgreSQL from wheels and jars, and a supervisor of the
services."""
