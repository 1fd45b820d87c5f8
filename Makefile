# What people and CI run. Every target that needs servers fetches them first (scripts/setup), which takes a minute once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup test proof bench bench-tracker demo up lint audit

# Tests find the servers through the file that setup writes; so does the program, from anywhere below the checkout.
with_tools = set -a && . .valera/tools.env && set +a &&

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Fetch nats-server, PostgreSQL and the tests' clients: no root, no Docker
	@scripts/setup

test: setup ## Run every test, on real servers
	@scripts/test

proof: setup ## Run the long counts: thirty kills over 200,000 events, fifty of detection, fifty of delivery, fifty of replays from stream and from files, rebuilds beside 1,000 events a second, servers away for a minute, a bot killed 200 times, 2,000 stories in any order, a gateway flooded by 100,000 requests
	cargo build --release --locked --package valera-analytics
	$(with_tools) export PROPTEST_CASES=$${PROPTEST_CASES:-2000} && \
		cargo test --release --package valera-tests --locked -- --ignored --test-threads 1 --nocapture survival tracker any_order alerts delivery gateway

bench: setup ## Measure throughput, latency and queries on servers of its own (minutes); writes docs/performance.md
	cargo run --profile dist --locked --package valera-tests --bin bench -- $(BENCH)

bench-tracker: setup ## Measure what a call of the tracker costs the bot, and how fast its spool drains (minutes); writes docs/tracker-performance.md
	$(with_tools) cargo run --profile dist --locked --package valera-tests --bin bench-tracker

demo: setup ## Watch a simulated bot fill the funnel, on servers that are gone afterwards
	cargo run --release --locked --package valera-analytics -- demo

up: setup ## Run a complete local system until Ctrl-C; its data stays in .valera/up
	cargo run --release --locked --package valera-analytics -- up

lint: ## Check formatting, lints and the documentation's links
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

audit: ## Check dependencies, known vulnerabilities included (needs cargo-deny and its database, fetched from GitHub)
	cargo deny check
