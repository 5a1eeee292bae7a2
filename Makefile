# Everything that a new machine needs is installed by the target that needs it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Tests wait more than they compute, so there are more workers than processors.
WORKERS ?= 6
CHECKS ?= lint
PYTEST = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n $(WORKERS)
# What Python has compiled is kept: a worker of the tests starts in half the time, a command in two thirds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-newer quick tests lint style bench docs clean

demo: $(VENV)/lab.installed ## the whole story in a minute, on a real PostgreSQL of your own
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/demo

test: $(VENV)/dev.installed ## every check and every test, with real servers; TESTS=tests/unit: these tests
	tools/install-test-servers
	$(MAKE) --no-print-directory -j 2 $(CHECKS) tests

quick: $(VENV)/dev.installed ## an answer in two minutes: style, types, and what needs no server
	$(MAKE) --no-print-directory style
	$(PYTEST) tests/unit tests/content tests/cli

tests: $(VENV)/dev.installed
	$(PYTEST) $(TESTS)

test-newer: ## the tests on newer Pythons and ansible-cores, in chroots of Debian; says so where those cannot be made
	tools/test-newer

lint: style
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q

style: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.installed ## ratios against named peers
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks

docs: $(VENV)/dev.installed ## write the generated pages again
	$(BIN)/python -m tools.docs

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "irctl needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/lab.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[lab]'
	@touch $@

$(VENV)/dev.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/lab.installed

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .ansible
