#!/bin/sh
# Runs the service with the simulator in the place of Microsoft. DATABASE_URL comes from devdb. Ends with the service.
set -eu
cd "$(dirname "$0")/.."

state=.local/dev
mkdir -p "$state"
keyring=$state/keyring
if [ ! -s "$keyring" ]; then
    (umask 077; printf 'dev:%s\n' "$(head -c 32 /dev/urandom | base64)" > "$keyring.new")
    mv "$keyring.new" "$keyring"
fi

# Kept, so that what was connected yesterday still works today.
sim_secret=$state/simulator-secret
if [ ! -s "$sim_secret" ]; then
    (umask 077; printf 'sim8Q~%s\n' "$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')" > "$sim_secret.new")
    mv "$sim_secret.new" "$sim_secret"
fi

simulator=127.0.0.1:${SIM_PORT:-9400}
control=127.0.0.1:${SIM_CONTROL_PORT:-9401}
DEFENDERSIM_SECRET_FILE=$sim_secret bin/defendersim -listen "$simulator" -control "$control" &
simulator_pid=$!
trap 'kill "$simulator_pid" 2>/dev/null || true' EXIT

export DEFENDERD_DATABASE_URL="$DATABASE_URL"
export DEFENDERD_KEYRING_FILE="$keyring"
export DEFENDERD_LISTEN="${DEFENDERD_LISTEN:-127.0.0.1:8080}"
export DEFENDERD_ADMIN_LISTEN="${DEFENDERD_ADMIN_LISTEN:-127.0.0.1:9090}"
export DEFENDERD_LOGIN_URL="http://$simulator" DEFENDERD_API_URL="http://$simulator"
export DEFENDERD_UNSAFE_TEST_UPSTREAM=true
bin/defenderd migrate
kill -0 "$simulator_pid" 2>/dev/null || { echo "run: the simulator has ended, see above" >&2; exit 1; }
echo "run: API on http://$DEFENDERD_LISTEN, admin on http://$DEFENDERD_ADMIN_LISTEN," \
    "simulator on http://$simulator, its credentials and controls on http://$control" >&2

# The shell waits for its child before it looks at signals, so the service runs in the background and is waited for.
bin/defenderd serve &
service_pid=$!
trap 'kill -TERM "$service_pid" 2>/dev/null || true' INT TERM HUP
status=0
wait "$service_pid" || status=$?
while kill -0 "$service_pid" 2>/dev/null; do # the wait was cut short by a signal
    status=0
    wait "$service_pid" || status=$?
done
exit "$status"
