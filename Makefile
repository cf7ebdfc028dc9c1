# Thin: each target is one readable line. Packages are named in scripts/install-packages.sh alone.

# rustup's folder, for a shell that was opened before rustup was installed.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# The program as users get it: `make demo` shows its real speed. PROFILE=dev builds sooner and runs slower.
PROFILE ?= release
# Where `make demo-web` serves the page.
LISTEN ?= 127.0.0.1:8787
pairlight = cargo run --locked --profile $(PROFILE) -p pairlight-cli --

.PHONY: help demo demo-web web test android jvm ios bench bench-link bench-scan bench-sync bench-web build fmt lint docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: ## link two devices over a real relay, once; CAMERA=0 uses a webcam, DEMO_ARGS="..." adds options
	@scripts/install-packages.sh demo
	@$(pairlight) demo $(if $(CAMERA),--camera "$(CAMERA)") $(DEMO_ARGS)

web: ## the page that links a browser, and the package @pairlight/web, in web/dist
	@scripts/install-packages.sh web
	@scripts/make-web.sh

demo-web: web ## a relay that serves the page; prints its address and the command that links it
	@cargo build --locked --profile $(PROFILE) -p pairlight-cli
	@echo 'Open http://$(LISTEN) in a browser. Link it with a webcam, or with a picture of that screen (--image FILE in place of --camera):'
	@echo '  $(pairlight) link scan --camera --profile "$$(mktemp -d)" --relay http://$(LISTEN)'
	@$(pairlight) relay --store memory --limits generous --listen $(LISTEN) --page web/dist/page

test: ## format, lint, and every test; ends with "N passed, N failed, N skipped"
	@scripts/install-packages.sh test
	@scripts/test.sh

android: ## the AAR and the sample app, on a machine with the Android SDK; says first what is missing
	@scripts/make-android.sh

jvm: ## the Android library for the JVM of this machine, in the local Maven repository: to try it without an SDK
	@scripts/make-jvm.sh

ios: ## the XCFramework for the Swift package, on a Mac; says first what is missing
	@scripts/make-ios.sh

bench: ## read rate and milliseconds on a set of pictures: MANIFEST=path/to/manifest.jsonl
	@test -n "$(MANIFEST)" || { echo 'usage: make bench MANIFEST=path/to/manifest.jsonl [BENCH_ARGS=--json]'; exit 2; }
	@scripts/install-packages.sh bench
	@$(pairlight) bench "$(MANIFEST)" $(BENCH_ARGS)

bench-link: ## one link: time of each step, bytes and round trips, p50 and p95 of fifty links over loopback
	@scripts/install-packages.sh bench
	@cargo run --locked --profile $(PROFILE) -p pairlight-tests --example bench_link

bench-sync: ## history and live updates between two sealed stores: COUNT=100000 messages, beside SQLite and Yjs
	@scripts/install-packages.sh bench
	@cargo run --locked --profile $(PROFILE) -p pairlight-tests --features bench --example bench_sync -- $(or $(COUNT),100000)

bench-web: ## the page in Chromium: bytes, time to a code, MESSAGES=100000 scrolled; its scanner beside jsqr and zxing-wasm, MANIFEST=...
	@scripts/install-packages.sh bench-web
	@$(if $(MANIFEST),MANIFEST="$(abspath $(MANIFEST))") scripts/bench-web.sh $(or $(MESSAGES),100000)

bench-scan: ## beside other readers (builds them, C++ among them): MANIFEST=path/to/manifest.jsonl
	@test -n "$(MANIFEST)" || { echo 'usage: make bench-scan MANIFEST=path/to/manifest.jsonl [BENCH_ARGS=...]'; exit 2; }
	@scripts/install-packages.sh bench-scan
	@scripts/bench-scan.sh photos "$(abspath $(MANIFEST))" --out docs/benchmarks $(BENCH_ARGS)

build: ## the pairlight command, in target/release
	@scripts/install-packages.sh demo
	cargo build --locked --release -p pairlight-cli

fmt: ## format all code
	cargo fmt --all

lint: ## clippy, warnings are errors
	cargo clippy --locked --workspace --all-targets -- -D warnings

docs: ## the API documentation, in target/doc
	cargo doc --locked --workspace --no-deps

clean: ## remove what was built and what the demo left
	cargo clean
	rm -rf demo-out
