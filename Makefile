# Everything a developer or a first user needs. `make help` lists it.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
ARGS ?=

# The newest Python that Headrace is tested with, else whatever python3 is: the set-up checks it.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
	command -v $$name >/dev/null 2>&1 && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$name; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format check dashboards schemes connector-pages bench chaos replay-dlq secrets up down check-tools lock clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with headrace in it (PYTHON=… chooses the Python)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found: install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than 3.11, or does not run: say make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version)"
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## start everything: Kafka, ingest and a worker; Ctrl-C stops it (ARGS="--port 8090 …")
	@exec $(BIN)/headrace --log-format text run --echo-port 8089 $(ARGS)

# In two processes, on one Kafka: most tests wait for others. ARGS="-n 0" runs them in one, ARGS="-n 4" in four.
test: setup ## run all tests, those against a real Kafka included (ARGS="-k name …")
	@$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

lint: setup ## check style, types, imports, what is generated, and what deploys Headrace
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m ops.grafana --check
	@$(BIN)/python -m ops.schemes_page --check
	@$(BIN)/python -m ops.connector_pages --check
	@$(BIN)/python -m deploy.check

format: setup ## let ruff repair and format what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check: setup ## check the routing table (ARGS="--env" checks the secrets too)
	@$(BIN)/headrace check $(ARGS)

dashboards: setup ## write ops/grafana/dashboards/*.json anew from the code beside it
	@$(BIN)/python -m ops.grafana

schemes: setup ## write docs/reference/schemes.md anew from ingest/schemes
	@$(BIN)/python -m ops.schemes_page

connector-pages: setup ## write docs/connectors/*.md and docs/reference/retries.md anew from the code
	@$(BIN)/python -m ops.connector_pages

bench: setup ## measure ingest, its spool, and delivery
	@bench/ingest $(ARGS)
	@bench/spool $(ARGS)
	@bench/deliver $(ARGS)

chaos: setup ## kill, freeze and restart parts under load (slow)
	@$(BIN)/pytest -m chaos $(ARGS)

replay-dlq: setup ## put dead letters back to work (ARGS="--destination crm --dry-run")
	@$(BIN)/headrace dlq replay $(ARGS)

secrets: ## make up the secrets of docker-compose.yml that are not there yet, under ./secrets
	@deploy/make-secrets

up: secrets ## start everything with docker compose; needs no Python (ARGS="--scale worker=3")
	@docker compose version >/dev/null 2>&1 || { echo "error: docker compose is not installed: docs.docker.com/compose/install says how; make run needs no Docker" >&2; exit 1; }
	@docker compose up --build --detach --wait $(ARGS)
	@echo "webhooks: http://127.0.0.1:$${HEADRACE_PORT:-8080}/webhook/<source>   Grafana: http://127.0.0.1:$${GRAFANA_PORT:-3000} (admin, secrets/GRAFANA_ADMIN_PASSWORD)"

down: ## stop what `make up` started; the data stays in its volumes
	@docker compose version >/dev/null 2>&1 || { echo "error: docker compose is not installed: docs.docker.com/compose/install says how" >&2; exit 1; }
	@docker compose down $(ARGS)

check-tools: setup ## install what some checks of make lint need and a registry has, into .tools
	@$(BIN)/python -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/tools.lock

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --quiet

lock: ## resolve requirements.lock, and those of the image and the checks, anew (needs uv)
	$(LOCK) --upgrade --all-extras --output-file requirements.lock pyproject.toml
	$(LOCK) --constraints requirements.lock --extra traces --extra email --extra postgres --extra s3 --output-file deploy/requirements.lock pyproject.toml
	echo hatchling | $(LOCK) --constraints requirements.lock --output-file deploy/build.lock -
	printf 'check-jsonschema\nhadolint-bin\n' | $(LOCK) --upgrade --output-file deploy/tools.lock -

clean: ## remove what was built; the data in .headrace stays
	rm -rf $(VENV) .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
