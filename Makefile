# Thin: what each target does is in scripts/ and in cargo. `make` lists the targets.

target := $(or $(CARGO_TARGET_DIR),target)

# A Rust that was installed a minute ago is not on the PATH of this shell yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test bench bench-instructions bench-timing interop lint run admin-token schema openapi sqlx

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-20s %s\n", $$1, $$2 }'

install:
	@scripts/install-postgres.sh

demo: install ## The main job, told step by step: a real git client, a real Git server, a real job token
	@cargo build --locked -p jobpass -p git-server --bins
	@$(target)/debug/demo

# The documentation's examples come first, so that the output ends with the tests' own summary.
test: install ## Everything that must pass, beside a throw-away PostgreSQL
	@scripts/with-postgres.sh sh -c \
	  'cargo test --locked --workspace --doc && cargo test --locked --workspace --all-targets'

bench: ## What everything costs, beside floors and peers: a table, target/bench; BENCH=quick in minutes, FIGURES="mint decide" for some
	@python3 tests/bench/run.py

bench-instructions: ## How many instructions a request's work takes, against a record; UPDATE_GOLDEN=1 records anew
	@cargo bench --locked -p jobpass-bench --bench instructions

bench-timing: install ## Whether the time of an answer tells what the answer does not
	@scripts/with-postgres.sh cargo bench --locked --profile dev -p jobpass --bench timing

interop: install ## Real clients against a running Jobpass: a table; ROWS="curl jose" for some
	@cargo build --locked -p jobpass --bin jobpass
	@scripts/with-postgres.sh python3 tests/interop/run.py $(ROWS)

lint: install ## Format, clippy, and licences and advisories where cargo-deny is installed
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; \
	else echo 'cargo-deny is not installed: licences and advisories were not checked (cargo install cargo-deny)'; fi

run: install ## A server that stays, on 127.0.0.1:8787, with its own PostgreSQL
	@cargo run --locked --bin jobpass -- serve

admin-token: install ## A new administrator's token, alone on standard output: JOBPASS_TOKEN=$(make -s admin-token)
	@cargo build --locked --quiet --bin jobpass
	@$(target)/debug/jobpass bootstrap-admin

migrate := for file in migrations/[0-9]*.sql; do \
	  psql -qX -v ON_ERROR_STOP=1 -1 -f "$$file" "$$JOBPASS_TEST_DATABASE_URL" >/dev/null || exit; done

schema: install ## Regenerate migrations/schema.sql, the whole schema as it is now
	@UPDATE_GOLDEN=1 scripts/with-postgres.sh cargo test --locked --quiet -p jobpass --test main schema_sql_is_the_whole_schema

openapi: ## Regenerate openapi/openapi.json
	@cargo build --locked --quiet --bin jobpass
	@$(target)/debug/jobpass openapi >openapi/openapi.json.new
	@mv openapi/openapi.json.new openapi/openapi.json

# Queries are checked while they are compiled, so the crate is touched to have it compiled. The old data goes only when there
# is new.
sqlx: install ## Regenerate .sqlx, by which queries are checked without a database
	@rm -rf .sqlx.new && mkdir .sqlx.new
	@touch crates/persistence/src/lib.rs
	@scripts/with-postgres.sh sh -c '$(migrate); \
	  SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$$PWD/.sqlx.new" DATABASE_URL="$$JOBPASS_TEST_DATABASE_URL" \
	  cargo check --locked -p jobpass-persistence --all-features --all-targets'
	@rm -rf .sqlx && mv .sqlx.new .sqlx
