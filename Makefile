# Every target sets up what it needs by itself: a virtual environment in .venv, the programs of the lab in .tools.
# Demo and lab need a part of what tests need; tests complete the same environment.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
RUNS := .venv/.runs
READY := .venv/.ready
UV := uv==0.13.9
COMPILE = .tools/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --custom-compile-command 'make lock'
PROGRAMS := prometheus promtool alertmanager amtool
# Ctrl-C is a usual end: the shell waits for the program, and its exit code 130 is no error of make's.
RUN = trap : INT; $(BIN)/chaosapi
UNTIL_CTRL_C = || [ $$? -eq 130 ]

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test lint format gen bench fuzz lock upgrade clean

help: ## Show this
	@echo 'make TARGET [PYTHON=python3.12] [ARGS="options of what the target runs"]'
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Prepare everything the other targets need
	@$(BIN)/python -c 'import sys; from chaosapi.lab import tools; tools.ensure_programs(*sys.argv[1:], report=print)' $(PROGRAMS)

demo: $(RUNS) ## Inject a fault and watch a real burn-rate alert fire (ARGS="--port 8010")
	@$(RUN) demo $(ARGS) $(UNTIL_CTRL_C)

lab: $(RUNS) ## Run the service beside Prometheus and Alertmanager until Ctrl-C
	@$(RUN) lab $(ARGS) $(UNTIL_CTRL_C)

test: $(READY) ## Run all tests (ARGS="-m 'not slow'" for the quick ones)
	@$(BIN)/pytest -n 3 --dist loadscope $(ARGS)

lint: $(READY) ## Check style, formatting, types and the layers of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code and make the repairs that are safe
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

gen: $(READY) ## Make again what is made: alert rules and their tests, dashboards, configurations, reference
	$(BIN)/chaosapi slo generate
	$(BIN)/python dashboards/generate.py
	$(BIN)/python compose/configs.py
	$(BIN)/python kustomize/alertmanager.py
	$(BIN)/python scripts/reference.py

bench: $(READY) ## Measure, at most 20 minutes (ARGS="overhead rate": only these; ARGS=--help: which there are)
	@$(BIN)/python benchmarks $(ARGS)

fuzz: $(READY) ## Attack the service (ARGS="--requests 1000000 --store sqlite --workers 2")
	@$(BIN)/python -m fuzz $(ARGS)

lock: .tools/uv ## Bring the lock files in line with pyproject.toml, changing as little as possible
	printf 'hatchling\neditables\n' | $(COMPILE) pyproject.toml - --extra all --group dev \
	  --output-file requirements.lock $(ARGS)
	printf 'hatchling\neditables\n' | $(COMPILE) pyproject.toml - --extra lab --extra console \
	  --constraint requirements.lock --output-file lab.lock
	$(COMPILE) pyproject.toml --extra serve --extra forecast --extra redis --extra tracing --constraint requirements.lock --output-file images/service.lock
	printf 'locust\nprometheus-client\n' | $(COMPILE) - --constraint requirements.lock --output-file images/locust.lock
	printf 'hatchling\n' | $(COMPILE) - --constraint requirements.lock --output-file images/build.lock

upgrade: ARGS += --upgrade
upgrade: lock ## Bring every pinned package to its newest version

clean: ## Remove the environment, the fetched programs and every cache
	rm -rf .venv .tools .lab dist build benchmarks/out .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last: a setup that broke off is done again. Whatever is ready for tests is ready to run.
$(RUNS): lab.lock pyproject.toml scripts/venv.sh
	@PYTHON=$(PYTHON) scripts/venv.sh .venv lab.lock
	@touch $@

$(READY): requirements.lock lab.lock pyproject.toml scripts/venv.sh
	@PYTHON=$(PYTHON) scripts/venv.sh .venv requirements.lock
	@touch $(RUNS) $@

.tools/uv:
	$(PYTHON) -m venv $@
	$@/bin/pip install -q $(UV)
