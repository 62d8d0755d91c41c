#!/bin/sh
# The stand-in's part of what the PostgreSQL image does at its first start: a cluster, its superuser, who may connect.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
    --auth-local=trust --auth-host=trust --encoding=UTF8 --locale=C
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  sleep 1  # the real one takes its time here, with a server of its own
fi
exec "$@" -c "listen_addresses=*"
