# The project's commands. `make help` lists them.

# The versions that the locked wheels exist for; the first that runs here is taken. A name alone
# proves nothing: it may be a version manager's stand-in for a Python that is not installed.
PYTHON ?= python3.14 python3.13 python3.12 python3.11 python3
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test simulate simulate-mutants attack lint format bench bench-full lock clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

$(READY): requirements-dev.lock pyproject.toml
	@python= bare=; for name in $(PYTHON); do \
	  $$name -c '$(SUPPORTED)' 2>/dev/null || continue; \
	  if $$name -c 'import ensurepip, venv' 2>/dev/null; then python=$$name; break; fi; \
	  bare=$${bare:-$$name}; \
	done; \
	if [ -z "$$python" ]; then \
	  if [ -n "$$bare" ]; then echo "make: $$bare cannot make virtual environments; install its venv module (Debian, Ubuntu: apt-get install python3-venv)"; \
	  else echo "make: none of these is a Python from 3.11 to 3.14 that runs: $(PYTHON); install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python"; fi; \
	  exit 1; \
	fi >&2; \
	echo "installing the locked dependencies into $(VENV) with $$python …" >&2; \
	$$python -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY)  ## make the environment in .venv from the lock file

demo: $(READY)  ## run the main job on the embedded AWS and print the figures (ARGS="--requests 5000")
	@$(BIN)/participation demo $(ARGS)

up: $(READY)  ## keep the whole pipeline running on the embedded AWS until Ctrl-C
	@$(BIN)/participation local up $(ARGS)

test: $(READY)  ## run all tests, several at a time (ARGS="-k name" for some, one by one)
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

simulate: $(READY)  ## ten thousand random runs of the pipeline on a model of AWS (ARGS="--runs 200")
	$(BIN)/participation simulate random --seed 0 --runs 10000 $(ARGS)

simulate-mutants: $(READY)  ## prove that the simulation can fail: each mutation of the product on 200 seeds
	@$(BIN)/python -m tests.simulation.mutants $(ARGS)

attack: $(READY)  ## attack an ingest while others use it: what held (ARGS="--url http://127.0.0.1:8080")
	@$(BIN)/python -m tests.security $(ARGS)

lint: $(READY)  ## format check, lint, types, import contract, templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint infra/*.yaml
	$(BIN)/python -m operations.named_queries | $(BIN)/cfn-lint

format: $(READY)  ## format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## the short benchmarks: prints a table of ratios
	$(BIN)/python -m bench

bench-full: $(READY)  ## the long benchmarks: writes bench/RESULTS.md and bench/results.json
	$(BIN)/python -m bench --full

COMPILE := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: $(READY)  ## resolve the dependencies again into the lock files
	$(COMPILE) --extra local --group dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(COMPILE) local/emulator/ministack.in -o local/emulator/ministack.lock
	$(COMPILE) bench/peers.in -o bench/peers.lock
	$(COMPILE) infra/container/build.in -o infra/container/build.lock

clean:  ## remove the environment, the caches, and what runs left in var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis var
