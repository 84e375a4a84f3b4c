#!/bin/sh
# Makes what docker-compose.yml reads: passwords and keys in .local/compose, and .env with the user who may read them.
# What is there already is kept, above all the keyring: without it stored secrets cannot be opened any more.
set -eu
cd "$(dirname "$0")/.."

mkdir -p .local # not as private as the rest: the development database is in it too
umask 077
dir=.local/compose
mkdir -p "$dir" "$dir/demo" # the demonstration's API key comes into the last one
make_file() { [ -s "$dir/$1" ] || { cat > "$dir/$1.new" && mv "$dir/$1.new" "$dir/$1"; }; }

head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' | make_file database_password
printf 'postgres:5432:*:defender:%s\n' "$(cat "$dir/database_password")" | make_file pgpass
printf 'compose:%s\n' "$(head -c 32 /dev/urandom | base64)" | make_file keyring
printf 'sim8Q~%s\n' "$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')" | make_file simulator_secret

# Files keep their owner inside the containers, so the service runs as that owner; root stays outside.
uid=$(id -u)
if [ "$uid" = 0 ]; then
    uid=65532
    chown "$uid" "$dir/pgpass" "$dir/keyring" "$dir/simulator_secret" "$dir/demo"
fi
chmod 400 "$dir/database_password" "$dir/pgpass" "$dir/keyring" "$dir/simulator_secret"
printf 'DEFENDER_UID=%s\n' "$uid" > .env
echo "compose-secrets: ready in $dir" >&2
