#!/bin/sh
# Starts Mosquitto; its file of passwords is there from the first moment, empty.
set -eu
umask 077
touch /mosquitto/data/passwords
exec mosquitto -c /mosquitto/config/mosquitto.conf
