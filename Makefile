# Everything a developer needs. "make test" is what CI runs.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PACKAGES := ./...
FUZZTIME ?= 30s
CHAOS    ?= 3m

.PHONY: run build test unit lint check-deploy proto fuzz bench chaos tools clean

run: ## start stint on ./stint-data
	$(GO) run ./cmd/stint serve

build: ## one static binary: bin/stint
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/stint ./cmd/stint

test: tools lint unit check-deploy ## everything

unit:
	$(GO) test -race -timeout 15m $(PACKAGES)
	# -mod=mod: with whatever stint itself requires by now.
	cd deploy/kubernetes/apitest && $(GO) vet -mod=mod . && $(GO) test -mod=mod -timeout 10m .
	cd server/portal/browsertest && $(GO) vet -mod=mod . && $(GO) test -mod=mod -timeout 10m .

lint:
	./scripts/lint.sh

check-deploy: ## image, compose file, chart, units, alerts and scripts, by the programs that read them
	./scripts/deploy.sh

proto: ## lint the .proto files and generate their Go code
	./scripts/proto.sh

tools: ## install what the tests need and the machine lacks, and build Dex
	./scripts/tools.sh
	@CGO_ENABLED=0 $(GO) -C federation/idptest/dex tool -n dex >/dev/null || echo "Dex cannot be built: tests with it skip" >&2

fuzz: ## every fuzz target for FUZZTIME (default 30s)
	./scripts/fuzz.sh $(FUZZTIME)

bench: build ## end-to-end and micro benchmarks, beside the floor
	./scripts/bench.sh

chaos: tools ## three nodes, PostgreSQL and Redis under load and faults for CHAOS (default 3m); CHAOS_SEED=n repeats a run
	CHAOS=$(CHAOS) $(GO) test -count=1 -timeout 60m -run TestChaos -v ./chaos

clean:
	rm -rf bin .test
