# The project's commands. `make help` lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint format bench bench-full lock clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; install Python 3.11, or name another: make PYTHON=python3.12"; exit 1; }
	@echo "installing the locked dependencies into $(VENV) …" >&2
	@$(PYTHON) -m venv --clear $(VENV)
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

lint: $(READY)  ## format check, lint, types, import contract, templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint infra/*.yaml

format: $(READY)  ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## the short benchmarks: prints a table of ratios
	$(BIN)/python -m bench

bench-full: $(READY)  ## the long benchmarks: writes bench/RESULTS.md and bench/results.json
	$(BIN)/python -m bench --full

COMPILE := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: $(READY)  ## resolve the dependencies anew into the lock files
	$(COMPILE) --extra local --group dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(COMPILE) local/emulator/ministack.in -o local/emulator/ministack.lock
	$(COMPILE) bench/peers.in -o bench/peers.lock
	$(COMPILE) infra/container/build.in -o infra/container/build.lock

clean:  ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
