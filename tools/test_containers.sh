#!/usr/bin/env bash
# Builds the images that the tests use where they cannot be had, and runs the tests with Kafka and PostgreSQL in
# containers. To be run through tools/container_engine.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

for image in kafka postgres; do
    variable="ALERTHUB_${image^^}_IMAGE"
    if [ "${!variable}" = "alerthub-$image:local" ]; then tools/container_images.sh "$image"; fi
done
.venv/bin/pytest --backend=testcontainers "$@"
