# make demo: set-up, then the main job.  make test: set-up, then the tests.  make reproduce: a
# comparison from public runs, which are fetched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := 2.13.0
export OMP_NUM_THREADS ?= 2

.PHONY: setup demo test slow quick durations check docs package fuzz bench reproduce format clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/neuneu demo --output demo

test: setup
	$(BIN)/python -m pytest -m "not slow"

# The tests that take more than four seconds each.
slow: setup
	$(BIN)/python -m pytest -m slow

# What is worth running after every change: under two minutes on two calm cores.
quick: setup
	$(BIN)/python -m pytest -q -m "not slow and not medium"

# All tests, timed: which are slow, or too long for `make quick`.
durations: setup
	$(BIN)/python -m pytest --durations=0 -vv | $(BIN)/python -m tests.durations

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, into site/: a warning or a dead link ends it with 1.
docs: export NO_MKDOCS_2_WARNING = 1
docs: setup
	$(BIN)/python -m mkdocs build --strict

# Wheel and sdist in fresh environments, without extras and with each, on other Pythons that are here, and the
# quick tests with the oldest versions allowed and with the newest.  make package LEGS="bare oldest" runs some.
package: setup
	$(BIN)/python -m tests.package.legs $(LEGS)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# make fuzz FUZZ_MINUTES=60: spoilt inputs over every reader; make test has a quick leg of it.
fuzz: setup
	$(BIN)/python -m tests.fuzzing.run --minutes $(or $(FUZZ_MINUTES),10) --seed $$(date +%s)

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks

reproduce: setup
	$(BIN)/python -m benchmarks.reproduce

clean:
	rm -rf $(VENV) site demo reproduce dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
