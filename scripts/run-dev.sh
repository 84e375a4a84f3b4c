#!/bin/sh
# Runs the service with the simulator in the place of Microsoft, a tenant to work for and a key. DATABASE_URL comes from
# devdb. Ends with the service. BIN is where the programs are, DEV_DIR where keys and secrets are kept.
set -eu
cd "$(dirname "$0")/.."

bin=${BIN:-bin}
mkdir -p "${DEV_DIR:-.local/dev}"
state=$(cd "${DEV_DIR:-.local/dev}" && pwd)

# Kept, so that what was connected yesterday still works today.
keep() {
    [ -s "$1" ] && return
    (umask 077; cat > "$1.new")
    mv "$1.new" "$1"
}
printf 'dev:%s\n' "$(head -c 32 /dev/urandom | base64)" | keep "$state/keyring"
printf 'sim8Q~%s\n' "$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')" | keep "$state/simulator-secret"

simulator=127.0.0.1:${SIM_PORT:-9400}
control=127.0.0.1:${SIM_CONTROL_PORT:-9401}
export DEFENDERSIM_SECRET_FILE="$state/simulator-secret"
export DEFENDERSIM_DIRECTORY="${DEFENDERSIM_DIRECTORY:-5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01}"
export DEFENDERSIM_CLIENT_ID="${DEFENDERSIM_CLIENT_ID:-0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01}"
"$bin/defendersim" -listen "$simulator" -control "$control" >/dev/null &
simulator_pid=$!
trap 'kill "$simulator_pid" 2>/dev/null || true' EXIT

export DEFENDERD_DATABASE_URL="$DATABASE_URL"
export DEFENDERD_KEYRING_FILE="$state/keyring"
export DEFENDERD_LISTEN="${DEFENDERD_LISTEN:-127.0.0.1:8080}"
export DEFENDERD_ADMIN_LISTEN="${DEFENDERD_ADMIN_LISTEN:-127.0.0.1:9090}"
export DEFENDERD_LOGIN_URL="http://$simulator" DEFENDERD_API_URL="http://$simulator"
export DEFENDERD_UNSAFE_TEST_UPSTREAM=true
"$bin/defenderd" migrate >&2
"$bin/defenderd" tenant admit --name Development --key-file "$state/api-key" >&2
kill -0 "$simulator_pid" 2>/dev/null || { echo "run: the simulator has ended, see above" >&2; exit 1; }

# What a shell needs for the API and for the operator's commands on this database, whose port and password are its own.
quote() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }
umask_before=$(umask)
umask 077
cat > "$state/env.new" <<END
export DEFENDERD_DATABASE_URL=$(quote "$DEFENDERD_DATABASE_URL")
export DEFENDERD_KEYRING_FILE=$(quote "$DEFENDERD_KEYRING_FILE")
export DEFENDERD_ADMIN_LISTEN=$(quote "$DEFENDERD_ADMIN_LISTEN")
export API=$(quote "http://$DEFENDERD_LISTEN")
export KEY="\$(cat $(quote "$state/api-key"))"
export AUTH="Authorization: Bearer \$KEY"
END
mv "$state/env.new" "$state/env"
cat > "$state/connect.json" <<END
{"type": "microsoft-defender", "credentials": {
  "tenant_id": "$DEFENDERSIM_DIRECTORY", "client_id": "$DEFENDERSIM_CLIENT_ID", "client_secret": "$(cat "$state/simulator-secret")"}}
END
umask "$umask_before"

# The shell waits for its child before it looks at signals, so the service runs in the background and is waited for.
"$bin/defenderd" serve &
service_pid=$!
signals=0
trap 'signals=$((signals + 1)); kill -TERM "$service_pid" 2>/dev/null || true' INT TERM HUP
until "$bin/defenderd" healthcheck 2>/dev/null || ! kill -0 "$service_pid" 2>/dev/null; do sleep 0.2; done
if kill -0 "$service_pid" 2>/dev/null; then
    cat >&2 <<END || true # a signal to all ends it, too

  API          http://$DEFENDERD_LISTEN, its documentation under /docs
  Admin        http://$DEFENDERD_ADMIN_LISTEN/metrics
  Simulator    http://$simulator, its credentials, faults and truth on http://$control
  Key          $state/api-key, an admin's of the tenant Development

  In another shell:

    . $state/env                  # sets API, KEY, AUTH and what the commands of bin/defenderd need
    curl -sS -H "\$AUTH" -H 'Content-Type: application/json' -d @$state/connect.json "\$API/v1/integrations"
    curl -sS -H "\$AUTH" "\$API/v1/summary"
    bin/defenderd tenant list

END
fi
# A signal cuts the wait short, whether or not the service has ended meanwhile; only a wait without one tells its status.
# Who was waited for already is no longer known (127).
status=0 answered=-1
while [ "$answered" -ne "$signals" ]; do
    answered=$signals ended=0
    wait "$service_pid" || ended=$?
    [ "$ended" -eq 127 ] || status=$ended
done
exit "$status"
