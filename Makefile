# Handoff: `make` lists what there is. Each target is an alias of plain commands.

GO ?= go
FUZZTIME ?= 5s
SOAK ?= 2m

.DEFAULT_GOAL := help

##@ Use

.PHONY: run
run: ## the demo: two agencies, two health systems, a guided tour
	$(GO) run ./cmd/handoff demo

.PHONY: build
build: ## the binary, static, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/handoff ./cmd/handoff

##@ Check

.PHONY: test
test: ## the tests (README's second command)
	$(GO) test ./...

.PHONY: race
race: ## the tests under the race detector (needs a C compiler)
	$(GO) test -race -gcflags=modernc.org/sqlite/lib=-race=false ./...

.PHONY: lint
lint: ## gofmt, golangci-lint (go vet among it), or go vet alone where that is not installed
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	@if command -v golangci-lint >/dev/null 2>&1; then golangci-lint run; else $(GO) vet ./... && echo "golangci-lint is not installed: its other checks were NOT run (CI runs them)"; fi

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 5s)
	./.ci/fuzz $(FUZZTIME)

.PHONY: golden
golden: ## rewrite the golden files; read the difference before you commit it
	$(GO) test ./adapters/... ./mappings/... -update

.PHONY: e2e
e2e: ## the demo's printed lines and the real clients, over HTTP
	$(GO) test -count=1 -run 'TestDemo' ./cmd/handoff

.PHONY: soak
soak: ## four feeds at once for SOAK (default 2m), killed every 20 s; what was acknowledged is there, once
	HANDOFF_SOAK=$(SOAK) $(GO) test -count=1 -timeout 20m -v ./conformance/soak

.PHONY: mongo
mongo: ## start a server that speaks MongoDB's protocol and print its URI (Debian, root); stop it with .ci/mongo/stop.sh
	@.ci/mongo/start.sh

.PHONY: test-mongo
test-mongo: ## what CI runs on MongoDB: on the deployment that HANDOFF_TEST_MONGO_URI names, else on a server it starts and kills
	.ci/mongo/test.sh

.PHONY: check
check: ## all that CI runs
	bash .ci/run

##@ Measure

.PHONY: bench
bench: ## the table of docs/performance.md: machine, n, median, ratios; fails on a wrong answer
	$(GO) run ./conformance/bench

##@ Help

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9_-]+:.*##/ {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
