#!/bin/sh
# Starts PostgreSQL from its share (`alerthub provision files`): creates its cluster the first time, and takes
# configuration, access rules and certificate anew each time.
set -eu

share=/run/alerthub
data=/var/lib/postgresql/data

if [ ! -f "$data/PG_VERSION" ]; then
    initdb --pgdata "$data" --username postgres --auth=scram-sha-256 --pwfile="$share/administrator.password" \
        --encoding=UTF8 --locale=C
fi
for file in postgresql.auto.conf pg_hba.conf tls.pem tls.key; do
    # PostgreSQL reads a key that is its own user's alone, or none.
    if [ -f "$share/$file" ]; then install -m 600 "$share/$file" "$data/$file"; fi
done
exec postgres -D "$data"
