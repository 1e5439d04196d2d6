# Every target sets itself up: it needs Python 3.11 or newer, make and a package index.
# Set-up speaks on standard error alone, so that `make -s bench JSON=1` prints one JSON object and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# PYTHON=… chooses another interpreter to make the environment with.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
SOURCES := protocol keys hub node
ASIDE := tests demo bench sandbox
CLIENT := clients/python/valija_client
PYTEST := $(PY) -m pytest -q
# Each file whole in one process; three at a time on two cores, because one of them mostly waits for processes and disks.
PARALLEL := -n 3 --dist loadfile
# Browsers and processes under fire leave nothing to share.
HEAVY := -n 2 --dist loadfile
UNITS := tests/protocol tests/keys tests/hub tests/node
# Long searches, shared out test by test: two thousand lives of an association, and the models.
SEARCHES := tests/simulator tests/models
# Unit suites must reach every branch of what decides, and nearly all of what moves bytes.
COVER_CORE ?= 100
COVER_REST ?= 95
REST := $(if $(TESTED),full)

export ONCE FILES QUICK JSON MINUTES RATE EVERY SEED ONLY
# What is compiled once is not compiled again by each of the hundreds of processes that tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo sandbox test check lint types layers agreement deploy-check test-all full-models full-tests coverage bench fuzz mutants soak lock clean

help: ## what there is to say
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

setup: $(READY) ## the virtual environment alone

$(READY): requirements.lock pyproject.toml clients/python/pyproject.toml
	@test -n "$(PYTHON)" || { echo "Valija needs Python 3.11 or newer on the PATH; or say make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) …" >&2
	@{ $(PYTHON) -m venv $(VENV) && \
	   $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	   $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e clients/python ; } >&2
	@touch $(READY)

demo: $(READY) ## four services exchange requests through a relay that cannot read them (ONCE=1, FILES="a.txt b.txt")
	@$(PY) -m demo

sandbox: $(READY) ## a hub and members that answer, to develop a case system against (ONCE=1: one exchange)
	@$(PY) -m sandbox

test: $(READY) ## every test that needs Python alone (COVER=1: the unit suites whole, under branch coverage)
	@$(if $(COVER),$(MAKE) coverage)
	@$(PYTEST) $(PARALLEL) $(if $(COVER),$(addprefix --ignore=,$(UNITS)))

check: lint types layers agreement deploy-check ## lint, types, layers, agreement of SPEC and code, deployment files

lint: $(READY)
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || { echo "run: $(PY) -m ruff format ." >&2; exit 1; }

types: $(READY)
	@$(PY) -m mypy $(SOURCES) $(ASIDE) $(CLIENT)

layers: $(READY)
	@$(PYTEST) tests/layers

agreement: $(READY)
	@$(PYTEST) tests/agreement

deploy-check: $(READY)
	@$(PY) -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(PYTEST) tests/deploy

test-all: $(READY) ## all tests, each once: the unit suites under branch coverage, the full models, what needs installed tools (TESTED=1: not what make test COVER=1 ran)
	@$(if $(TESTED),,$(MAKE) coverage)
	@$(PYTEST) -m "$(REST)" $(HEAVY) $(addprefix --ignore=,$(UNITS) $(SEARCHES))
	@$(foreach search,$(SEARCHES),$(PYTEST) -m "$(REST)" -n 2 $(search);)

coverage: $(READY) ## branch coverage of the unit suites
	@mkdir -p build && rm -f build/coverage build/coverage.*
	@HYPOTHESIS_PROFILE=coverage $(PYTEST) -m "" $(PARALLEL) --cov --cov-report= $(UNITS)
	@$(PY) -m coverage report --include='protocol/*,keys/*' --fail-under=$(COVER_CORE)
	@$(PY) -m coverage report --include='hub/*,node/*' --fail-under=$(COVER_REST)

bench: $(READY) ## the measured comparison (QUICK=1: under a minute, JSON=1: one object on standard output, WORKS="…": some of it)
	@$(PY) -m bench

soak: $(READY) ## real processes under every fault for MINUTES=10 at RATE=20 messages/s; or SEEDS=500 lives in the simulator
	@$(PY) -m $(if $(SEEDS),tests.simulator $(SEEDS) --table,tests.faults.soak)

ATHERIS := build/atheris

$(ATHERIS)/.ready: $(READY) tests/fuzz/requirements.lock
	@rm -rf $(ATHERIS)
	@{ $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
	     --target $(ATHERIS) -r tests/fuzz/requirements.lock && touch $@; } >&2 || { \
	   echo "make fuzz needs Atheris, which is published for CPython 3.11 to 3.14 on Linux x86-64 alone;" >&2; \
	   echo "$(PY) -m pytest tests/fuzz walks the same targets without it" >&2; exit 1; }

fuzz: $(ATHERIS)/.ready ## search every fuzz target, guided by coverage (SECONDS=600 for each, TARGETS="codec session")
	@PYTHONPATH=$(ATHERIS) SECONDS_EACH="$(or $(SECONDS),600)" TARGETS="$(TARGETS)" $(PY) -m tests.fuzz

mutants: $(READY) ## every rule taken out of the code in turn, and the test that notices (MUTANTS="name name" for some)
	@MUTANTS="$(MUTANTS)" $(PY) -m tests.mutants

UV_COMPILE := build/lock/bin/uv pip compile --universal --python-version 3.11 --no-config --quiet \
  --generate-hashes --no-annotate --no-emit-index-url --no-header

lock: ## write requirements.lock and the images' locks anew from pyproject.toml
	@$(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet uv
	@$(UV_COMPILE) pyproject.toml --all-extras --group dev --upgrade -o build/requirements.lock
	@$(UV_COMPILE) pyproject.toml --extra hub -c build/requirements.lock -o build/hub.lock
	@$(UV_COMPILE) pyproject.toml --extra node -c build/requirements.lock -o build/node.lock
	@$(UV_COMPILE) --group pyproject.toml:fuzz --upgrade -o build/fuzz.lock
	@for lock in requirements.lock deploy/hub.lock deploy/node.lock; do \
	  { head -n 1 $$lock; cat build/$$(basename $$lock); } > build/new && mv build/new $$lock; done
	@{ head -n 1 requirements.lock; cat build/fuzz.lock; } > tests/fuzz/requirements.lock

clean: ## remove what was made here
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
