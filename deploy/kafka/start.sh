#!/bin/sh
# Starts Kafka's one broker from its share (`alerthub provision files`): formats its log the first time. Nothing of
# the image is used but Java and Kafka's jars.
set -eu

share=/run/alerthub
jars='/opt/kafka/libs/*'
logs="$(sed -n 's/^log.dirs=//p' "$share/server.properties")"

if [ ! -f "$logs/meta.properties" ]; then
    java -cp "$jars" "@$share/format.arguments"
fi
# shellcheck disable=SC2086 # several options
exec java ${KAFKA_RUNTIME_OPTIONS:--Xms256m -Xmx512m -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError} \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars" kafka.Kafka "$share/server.properties"
