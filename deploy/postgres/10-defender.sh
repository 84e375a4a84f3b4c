#!/bin/bash
# Runs once, when the database container is new: makes an account that owns its database and nothing else, so that
# row-level security holds for the service. The superuser keeps its password-free local socket and loses the network.
set -euo pipefail

psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_PASSWORD" --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
create role defender login createrole password :'password';
create database defender owner defender;
alter role current_user password null;
SQL
