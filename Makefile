# Everyday tasks. Go and make are enough where PostgreSQL is or can be installed; "make setup",
# which the others call, brings the rest.
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -buildid= -X main.version=$(VERSION) -X main.revision=$(REVISION)

# The race detector needs a C compiler; Go turns cgo off by itself when there is none.
RACE = $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && echo -race)

# For a single package: make test PKG=./internal/seal
PKG ?= ./...

.PHONY: help setup demo test run build lint audit-code mutants reproduce sbom attack sqlmap fuzz scale plans kill rewrap walls worlds slow bench bench-quick cover docs image clean

help: ## list the targets (default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## prepare this clone: modules, and a PostgreSQL to start (idempotent)
	@scripts/setup.sh

demo: setup build ## show the product: make demo ARGS="..." passes arguments
	bin/defenderd demo $(ARGS)

test: setup ## run all tests on a database of their own: make test PKG=./internal/... ARGS="-run Name"
	@[ -n "$(RACE)" ] || echo "test: no C compiler, so the race detector is off" >&2
	bin/devdb run -- go test $(RACE) -timeout 25m $(ARGS) $(PKG)

run: setup build ## run the service for development: database, simulator, service (data in .local/dev)
	bin/devdb run -dir .local/dev/pg -- scripts/run-dev.sh

build: ## build all commands into bin/
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...

lint: ## check format, vet and staticcheck
	scripts/lint.sh

audit-code: ## check code, history and dependencies by tools, with a figure for each: VULNDB=file://… or none
	scripts/audit-code.sh

mutants: setup ## change encryption, tenants, tokens and who is let in in small ways and see whether the tests notice: MUTANTS_KILLED=80, PACKAGES, FILES
	bin/devdb run -- scripts/mutants.sh

reproduce: ## build the shipped programs twice, in different places, and compare them
	VERSION=$(VERSION) REVISION=$(REVISION) scripts/reproduce.sh

sbom: build ## write the bill of materials of the service and hold it against the program
	scripts/sbom.sh

attack: setup ## send 5,000 generated requests to every operation and judge the answers: ATTACK_REQUESTS, ATTACK_SEEDS, ATTACK_SEED, ATTACK_OPERATION
	ATTACK_REQUESTS=$(or $(ATTACK_REQUESTS),1000) ATTACK_SEEDS=$(or $(ATTACK_SEEDS),5) bin/devdb run -- go test -run TestContractAttack -v -count=1 -timeout 90m ./internal/httpapi

sqlmap: setup ## have sqlmap, which must be installed, look for SQL injection in every place that a request has: ATTACK_OPERATION
	bin/devdb run -- go test -tags soak -run TestSQLMap -v -count=1 -timeout 90m ./internal/httpapi

fuzz: setup ## run every fuzz target for a short while: make fuzz FUZZTIME=1m
	bin/devdb run -- scripts/fuzz.sh

scale: setup ## sync 20,000 machines with a million findings under a memory ceiling, a steady state of 100,000 machines and a day of it, and 50 tenants: SCALE_MACHINES, SCALE_FINDINGS, SCALE_CEILING_MIB
	bin/devdb run -- go test -tags scale -run TestScale -v -count=1 -timeout 30m ./internal/syncer

plans: setup ## look at the plans of all lists with a million findings of 100,000 assets
	bin/devdb run -- go test -tags scale -run TestPagesAreReadFromIndexes -v -count=1 -timeout 30m ./internal/postgres

kill: setup ## kill the service in each phase, at each page and at random moments of its syncs, freeze it in one, and compare the tables: KILLS, KILL_SEED
	KILL_QUIET=1 KILLS=$(or $(KILLS),50) bin/devdb run -- go test -tags soak -run 'TestKilled|TestFrozen' -v -count=1 -timeout 60m ./cmd/defenderd

rewrap: setup ## replace all keys of 1,000 integrations under load, with a kill in the middle: REWRAP_INTEGRATIONS
	REWRAP_INTEGRATIONS=$(or $(REWRAP_INTEGRATIONS),1000) bin/devdb run -- go test -run TestKeysAreReplacedUnderLoad -v -count=1 -timeout 30m ./cmd/defenderd

walls: setup ## mix 10,000 requests of two tenants on one connection to the database, and time those for foreign and missing objects: WALLS, WALLS_SEED, ALIKE
	WALLS=$(or $(WALLS),10000) bin/devdb run -- go test $(RACE) -run TestTwoTenantsOnOneConnection -v -count=1 -timeout 30m ./internal/httpapi
	bin/devdb run -- go test -tags soak -run TestForeignAndMissingTakeAsLong -v -count=1 -timeout 30m ./internal/httpapi

slow: setup ## hold 500 connections of each kind of slow client, send 100 large bodies, stop a PostgreSQL by signal, wait for a slow vacuum: SLOW_CLIENTS, LARGE_BODIES
	LARGE_BODIES=$(or $(LARGE_BODIES),100) bin/devdb run -- go test -tags soak -run 'TestSlowClients$$|TestLargeBodies' -v -count=1 -timeout 10m ./cmd/defenderd ./internal/httpapi
	go test -tags soak -run 'TestAStoppedDatabase|TestAnAutovacuum' -v -count=1 -timeout 10m ./internal/httpapi ./internal/postgres

worlds: setup ## drift many random directories through failing runs and compare with the simulator's model: WORLDS, HOLDS, CHANGES_SEEDS
	WORLDS=$(or $(WORLDS),200) HOLDS=$(or $(HOLDS),40) CHANGES_SEEDS=$(or $(CHANGES_SEEDS),40) bin/devdb run -- go test -run 'TestRandomWorlds|TestRandomHolds|TestChangesCome' -v -count=1 -timeout 60m ./internal/syncer

# Settings of the server that is measured, an operator's and not the tests': what is written is on disk. Leave the last two out where
# PostgreSQL is built without lz4 or comes without its contributed modules: pg_stat_statements has the report tell the costliest statements.
BENCH_SERVER ?= -set shared_buffers=4GB -set max_wal_size=8GB -set checkpoint_timeout=30min -set wal_compression=lz4 -set shared_preload_libraries=pg_stat_statements

bench: setup build ## measure with 100 k, 1 M and 10 M findings, into docs/benchmark.md; needs 20 GB of disk: ARGS="--skip fairness"
	bin/devdb run -dir .local/bench/postgres $(BENCH_SERVER) -- bin/defenderbench --sizes 100k,1M,10M --profile .local/bench/profiles --out docs/benchmark $(ARGS)

bench-quick: setup build ## the same with 30 k and 100 k findings, in minutes, into .local/bench
	bin/devdb run -dir .local/bench/postgres $(BENCH_SERVER) -- bin/defenderbench --sizes 30k,100k --seconds 1 --small 8 --at-once 1,2 --skip turnover --out .local/bench/quick $(ARGS)

cover: setup ## test coverage of all packages together, into coverage.out
	bin/devdb run -- go test -coverpkg=./... -coverprofile=coverage.out $(PKG)
	@go tool cover -func=coverage.out | tail -1

docs: ## write the pages that are made from the code
	go run ./cmd/defenderd help config --markdown > docs/configuration.md
	go run ./cmd/defenderd help problems > docs/troubleshooting.md

image: ## build the container images (buildah, or docker)
	VERSION=$(VERSION) REVISION=$(REVISION) scripts/image.sh

clean: ## remove what was built; data in .local stays
	rm -rf bin coverage.out
