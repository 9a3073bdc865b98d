#!/usr/bin/env bash
# beside.sh LOG FIRST SECOND: runs two commands at once. SECOND prints as it goes; what FIRST prints goes to
# LOG and comes after it. Fails when either does; an interrupt ends both.
set -euo pipefail
# A process group for each: without it both and all that they start would ignore an interrupt.
set -m
log=$1 first=$2 second=$3

bash -c "$first" >"$log" 2>&1 </dev/null &
beside=$!
bash -c "$second" </dev/null &
shown=$!
trap 'kill -INT -- -"$beside" -"$shown" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
echo "Beside it, with its output in $log: $first"

failed=0
wait "$shown" || failed=$?
echo "Waiting for what runs beside it: $first"
wait "$beside" || failed=$?
cat "$log"
exit "$failed"
