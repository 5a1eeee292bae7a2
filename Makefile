# Everything that a new machine needs is installed by the target that needs it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench docs clean

demo: $(VENV)/lab.installed ## the whole story in a minute, on a real PostgreSQL of your own
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/demo

test: $(VENV)/dev.installed ## every check and every test, with real servers
	tools/install-test-servers
	$(MAKE) --no-print-directory lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n 2 --dist loadfile

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q

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
