# linehaul: the targets that people and CI call. `make help` lists them.

SHELL      := /bin/bash
BIN        := bin
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS    := -s -w -X main.version=$(VERSION)
GOFLAGS    += -trimpath
LINTER     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VULN       := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VULNDB     ?=
GOTOOLCHAIN ?= auto
TARGETS    := linux/amd64 linux/arm64 windows/amd64 windows/arm64 darwin/amd64 darwin/arm64 \
              freebsd/amd64 freebsd/arm64 openbsd/amd64 openbsd/arm64
T          ?= 30s
KILLS      ?= 500
BENCHTIME  ?= 1s
BENCH      ?=
BENCH_ALL  := -case . -rounds 3 -size 1 -peers all
MACHINE    ?= $(shell nproc 2>/dev/null || echo some) cores
FILES      ?= 1000000
RUNS       ?= 1000000
PRUNE      ?= 100000
JOBS       ?= 10000
HISTORY    ?= 0
# The release that go.mod names is fetched where the installed one is older.
export GOFLAGS GOTOOLCHAIN

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## write bin/linehaul for this machine
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN)/linehaul ./cmd/linehaul

.PHONY: demo
demo: build ## pull a dated file twice by schedule, from a server that it brings along
	$(BIN)/linehaul demo

.PHONY: deps
deps: ## install what the tests need (as root), or print the command that does
	@scripts/deps

.PHONY: test
test: deps ## everything, with the race detector, against real OpenSSH and PuTTY
	CGO_ENABLED=1 go test -race -timeout 40m ./...
	go test -timeout 15m -count 1 ./cmd/linehaul -run 'TestFaultTable|TestKill$$|TestLedgerKilled$$'

.PHONY: race
race: ## the tests that need no other program, with the race detector, three times
	CGO_ENABLED=1 go test -race -short -count 3 ./...

.PHONY: kills
kills: deps ## kill linehaul KILLS times (default 500) each way in a 256 MiB file, and go on each time (half an hour)
	LINEHAUL_KILLS=$(KILLS) LINEHAUL_MUST_RUN=1 go test ./cmd/linehaul -run 'TestKill$$' -count 1 -timeout 3h -v

.PHONY: lint
lint: $(BIN)/golangci-lint ## gofmt, vet, staticcheck and the rules of .golangci.yml
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these'; exit 1; }
	go vet ./...
	$(BIN)/golangci-lint run

# The linter keeps its own module graph, so it is built apart and not a
# dependency of the product.
$(BIN)/golangci-lint: Makefile
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) go install $(LINTER)
	@touch $@

# For each system, as each builds something else; tests too.
.PHONY: vuln
vuln: $(BIN)/govulncheck ## known vulnerabilities in what linehaul calls (VULNDB=file:///DIR for a copy of Go's database)
	@set -e; db='$(VULNDB)'; [ -n "$$db" ] || db=$$(scripts/vulndb $(BIN)); for os in linux windows darwin; do echo "$$os:"; \
	  GOOS=$$os CGO_ENABLED=0 $(CURDIR)/$(BIN)/govulncheck -db "$$db" -test ./...; \
	done

# Built apart, as the linter is.
$(BIN)/govulncheck: Makefile
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) go install $(VULN)
	@touch $@

.PHONY: cross
cross: ## build and vet, tests too, for each system and processor, without cgo
	@set -e; for t in $(TARGETS); do \
	  os=$${t%/*} arch=$${t#*/}; out=$(BIN)/cross/linehaul-$$os-$$arch; [ $$os != windows ] || out=$$out.exe; \
	  GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $$out ./cmd/linehaul; \
	  GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 go vet ./...; \
	  printf '%-16s %5s MiB\n' $$t $$(( $$(wc -c < $$out) / 1048576 )); \
	done

.PHONY: wine
wine: ## run linehaul.exe and the tests of a dozen packages, built for Windows, in Wine
	@scripts/deps wine
	LINEHAUL_WINE=1 LINEHAUL_MUST_RUN=1 go test -timeout 20m -count 1 -v -run TestWindowsProgram ./cmd/linehaul
	LINEHAUL_WINE=1 LINEHAUL_MUST_RUN=1 go test -timeout 90m -count 1 -v -run TestPackagesInWine .

.PHONY: interop-kernel
interop-kernel: ## the tunnel to a gateway whose ESP is a Linux kernel's: ESN, narrow selectors, NAT (five minutes, as root)
	@scripts/deps kernel
	LINEHAUL_MUST_RUN=1 go test -tags kernelgateway ./tunnel -run TestKernel -count 1 -timeout 20m -v | grep -v '^=== '

.PHONY: interop-new
interop-new: deps ## the tunnel with more key exchanges than one (ML-KEM), through a strongSwan of Debian's unstable branch
	@scripts/strongswan $(BIN)/strongswan
	LINEHAUL_STRONGSWAN=$(CURDIR)/$(BIN)/strongswan LINEHAUL_MUST_RUN=1 go test -tags newstrongswan ./tunnel -run TestFurther -count 1 -timeout 20m -v | grep -v '^=== '

.PHONY: gobench
gobench: ## run every Go benchmark once for one second (or BENCHTIME=1x)
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

# A test binary, as the server comes from internal/lab. BENCH takes more flags:
# make bench BENCH='-case 50ms/get -rounds 1 -size 0.1'
.PHONY: bench
bench: build bench-deps $(BIN)/bench ## move the same files with linehaul and with other programs, in turn (an hour or more)
	$(BIN)/bench $(BENCH_ALL) -linehaul $(BIN)/linehaul $(BENCH)

.PHONY: bench-store
bench-store: deps ## ask a history of RUNS runs (a million) what people ask, and remove PRUNE of them (100,000), on SQLite and on PostgreSQL (ten minutes)
	LINEHAUL_MUST_RUN=1 LINEHAUL_RUNS=$(RUNS) LINEHAUL_PRUNE=$(PRUNE) go test ./store -run 'TestLongHistory$$' -count 1 -timeout 1h -v | grep -v '^=== '

.PHONY: bench-page
bench-page: build bench-deps $(BIN)/bench ## the same, written into docs/PERFORMANCE.md
	$(BIN)/bench $(BENCH_ALL) -linehaul $(BIN)/linehaul -machine '$(MACHINE)' -markdown -out docs/PERFORMANCE.md $(BENCH)

.PHONY: bench-deps
bench-deps: ## install what make bench compares with (as root), or print the command that does
	@scripts/deps bench

.PHONY: $(BIN)/bench
$(BIN)/bench:
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go test -c -o $(BIN)/bench ./internal/bench

.PHONY: bench-tunnel
bench-tunnel: deps ## the tunnel beside strongSwan's client, and beside gVisor as it comes (as root; 20 minutes)
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go test -c -o $(BIN)/bench-tunnel ./internal/tunnelbench
	LINEHAUL_BENCH=5 go test ./tunnel -count 1 -v -run TestEnds | grep -v -e '^=== ' -e '^ *---'
	$(BIN)/bench-tunnel -rounds 5 -mib 256 $(BENCH)

.PHONY: rates
rates: ## hold limits of bandwidth to a few percent, on a quiet machine (two minutes)
	LINEHAUL_RATES=1 go test ./job -count 1 -v -run TestRate | grep -v '^=== '

.PHONY: interop
interop: deps ## log in to strongSwan in each way that its own client does, and print the table (two minutes, as root)
	LINEHAUL_INTEROP=1 LINEHAUL_MUST_RUN=1 go test ./tunnel -count 1 -timeout 30m -run 'TestInterop$$' -v | grep -v '^ *\(=== \|time=\)'

.PHONY: soak
soak: deps ## kill and hold nodes of one schedule for two minutes, on PostgreSQL and on SQLite, and count the firings (10 minutes)
	LINEHAUL_MUST_RUN=1 LINEHAUL_QUEUE_SOAK=120 go test ./cmd/linehaul -run 'TestQueueSoak|TestTakeover' -count 1 -timeout 30m -v | grep -v '^=== '

.PHONY: bench-queue
bench-queue: deps ## JOBS jobs (10,000) due at once, after HISTORY runs (0), on SQLite and on PostgreSQL with one and three nodes
	LINEHAUL_MUST_RUN=1 LINEHAUL_QUEUE_JOBS=$(JOBS) LINEHAUL_QUEUE_HISTORY=$(HISTORY) go test ./schedule/queue -run TestManyAtOnce -count 1 -timeout 60m -v | grep -v '^=== '

.PHONY: tunnel-soak
tunnel-soak: deps ## pull for five minutes at 8 MB/s through one rekey after another, twice, and kill the gateway (15 minutes, as root)
	LINEHAUL_MUST_RUN=1 go test -tags soak ./cmd/linehaul -run TestSoak -count 1 -timeout 40m -v | grep -v '^=== '

.PHONY: scale
scale: ## plan and mirror FILES files (default a million) and show what is held in memory
	LINEHAUL_SCALE=$(FILES) go test ./transfer -count 1 -timeout 60m -run TestScale -v | grep -v '^=== '
	LINEHAUL_SCALE=$(FILES) LINEHAUL_SCALE_DIR=$(wildcard /dev/shm) go test ./cmd/linehaul -count 1 -timeout 180m -run TestScaleSync -v | grep -v '^=== '

# Each target in turn; a target without seeds is a defect, so it fails.
.PHONY: fuzz
fuzz: ## run each fuzz target for T (default 30s)
	@scripts/fuzz $(T)

.PHONY: cover
cover: deps ## test coverage by function, in bin/cover.html too
	@mkdir -p $(BIN)
	go test -coverprofile $(BIN)/cover.out -coverpkg ./... ./...
	go tool cover -html $(BIN)/cover.out -o $(BIN)/cover.html
	go tool cover -func $(BIN)/cover.out | tail -1

.PHONY: docs
docs: build ## write man pages and shell completion into bin/
	$(BIN)/linehaul docs man $(BIN)/man
	$(BIN)/linehaul docs completion $(BIN)/completion

.PHONY: corpus
corpus: deps ## make the corpus of key files anew, with puttygen, ssh-keygen and openssl
	scripts/corpus

.PHONY: golden
golden: ## rewrite golden files, then show what changed
	go test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update
	@git diff --stat

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
