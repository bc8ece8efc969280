# Everything needs Go only; lint and check fetch their tools, pinned in
# tools/go.mod, through the Go module proxy.

GO      ?= go
BIN     ?= bin/covey
NODES   ?= 3
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The slowest come first: they mostly wait, and the others fill the time.
PKGS    := ./test/... ./node/... ./...

.DEFAULT_GOAL := help
.PHONY: help run test check race fuzz bench build fmt lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, then run a cluster of three processes on this machine until Ctrl-C
	@exec $(BIN) demo --nodes $(NODES) $(ARGS)

test: ## run all tests
	$(GO) test -p 3 -timeout 20m $(PKGS)

check: lint ## before a commit: formatting, vet, staticcheck, the house rules, all tests with -race
	$(GO) test ./internal/archtest/...
	$(GO) test -race $(PKGS)

race: ## run all tests with the race detector
	$(GO) test -race $(PKGS)

fuzz: ## run every fuzz test for 30 seconds (FUZZTIME=5m for more)
	GO="$(GO)" scripts/fuzz.sh

bench: ## run all Go benchmarks (a whole cluster is measured by: covey bench)
	$(GO) test -run '^$$' -bench . -benchmem $(PKGS)

build: ## build a static binary into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/covey

fmt: ## format all Go files
	gofmt -w .

lint: ## check formatting, run vet and staticcheck
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted, run make fmt:"; echo "$$out"; exit 1; fi
	$(GO) vet $(PKGS)
	$(GO) tool -modfile=tools/go.mod staticcheck $(PKGS)

clean: ## delete what the other targets made
	rm -rf bin
