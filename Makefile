# What a person does with this project. CI runs "make test lint cross arm64 amx".

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Modules of their own, so that a program that imports the library does not
# inherit what they need. testdata is one, too, but has no packages.
MODULES = $(sort $(dir $(shell git ls-files 'go.mod' '*/go.mod' ':!testdata')))

.PHONY: help run build dist app test tools lint cross arm64 amx soak bench bench-peers metal-report fuzz train

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: ## Tell a story with the embedded model
	$(GO) run ./examples/generate "Once upon a time"

build: ## Build the openelm command into bin/
	CGO_ENABLED=0 $(GO) build -o bin/openelm ./cmd/openelm

dist: ## Write archives for macOS, Linux and Windows, checksums and the formula into dist/
	$(GO) run ./internal/dist

app: ## Make OpenELM.app, the menubar example, in ~/Applications (elsewhere than on a Mac in dist/, to look at)
	CGO_ENABLED=0 $(GO) -C examples/menubar run . install $(if $(filter Darwin,$(shell uname)),,"$(CURDIR)/dist")

test: tools ## Install what the tests need and run all of them
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && $(CURDIR)/scripts/test.sh) || exit 1; done

tools: ## Install the tests' tools (Debian packages; needs root the first time)
	@./scripts/install-tools.sh

lint: ## gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./...) || exit 1; done

cross: ## Build and vet for every platform, without cgo
	@for p in darwin/arm64 darwin/amd64 linux/arm64 linux/386 linux/s390x windows/amd64; do echo "== $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 GOFLAGS=-trimpath sh -c '$(GO) build ./... && $(GO) vet ./...' || exit 1; done
	@echo "== ios/arm64, without what purego needs cgo for"
	@GOOS=ios GOARCH=arm64 CGO_ENABLED=0 GOFLAGS=-trimpath $(GO) build ./openelm ./kernels/cpu ./chat ./loader/tokenizer ./loader/gguf ./loader/safetensors
	@for p in darwin/arm64 darwin/amd64 linux/arm64 windows/amd64; do echo "== $$p, examples/menubar"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 GOFLAGS=-trimpath $(GO) -C examples/menubar vet ./... || exit 1; done

ARM64_PACKAGES = ./kernels ./kernels/cpu ./openelm ./loader ./metal
arm64: tools ## Run the tests of the CPU path and of package metal as arm64, emulated
	GOARCH=arm64 CGO_ENABLED=0 RAPID_CHECKS=10 $(GO) test -short -timeout 30m -exec "qemu-aarch64-static -cpu max -L /usr/aarch64-linux-gnu" $(ARM64_PACKAGES)

amx: tools ## Run the CPU kernels' tests on an emulated processor with AMX (builds the emulator the first time)
	RAPID_CHECKS=10 CGO_ENABLED=0 $(GO) test -short -timeout 30m -exec $(CURDIR)/scripts/sapphire-rapids.sh ./kernels/cpu ./bench/internal/roof

soak: tools ## Run the long forms of tests that CI runs reduced
	OPENELM_SOAK=1 CGO_ENABLED=0 $(GO) test -timeout 6h -v -run '^(TestConformance|TestSweep|TestExactProducts)$$' ./kernels/gpu
	OPENELM_SOAK=1 CGO_ENABLED=0 $(GO) test -timeout 6h -v -run '^TestExact$$' ./openelm
	OPENELM_SOAK=1 CGO_ENABLED=0 $(GO) test -timeout 30m -v -run '^TestLoad$$' ./server
	OPENELM_SOAK=1 CGO_ENABLED=0 $(GO) test -timeout 6h -v -run '^(TestGenerated|TestLLGuidance)$$' ./schema
	OPENELM_SOAK=1 CGO_ENABLED=0 $(GO) test -timeout 1h -v -run '^TestMLX$$' ./loader/convert

BENCH_MODELS ?= story random:270M:bf16 random:270M:q8_0 random:270M:mlx4 random:1.1B:bf16
BENCH_FLAGS ?= --prefill 512 --decode 10,2000 --batch 8 --activations exact,bf16 --start --paper --tune
bench: build ## Measure this machine; the report and plots to send back are in bench-report/
	./bin/openelm bench $(BENCH_MODELS) $(BENCH_FLAGS) --out bench-report
	$(GO) -C bench/plot run . $(CURDIR)/bench-report/report.json

bench-peers: ## Get llama.cpp and PyTorch (half an hour the first time), then bench against them
	./scripts/peers.sh
	$(MAKE) bench BENCH_FLAGS="$(BENCH_FLAGS) --peers all"

metal-report: tools ## Count what a token costs a GPU; writes docs/metal-report.md (some minutes)
	CGO_ENABLED=0 $(GO) run ./internal/metalreport

FUZZTIME ?= 1m
fuzz: ## Run every fuzz target for FUZZTIME (default 1m)
	@./scripts/fuzz.sh $(FUZZTIME)

train: ## Train the embedded story model again (about half an hour; Python)
	./story/train/train.sh
