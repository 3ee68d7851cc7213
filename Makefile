# make demo    tell a tale: with the storyteller, or with MODEL=folder
# make test    all tests
# make check   formatting, lint, types, layers, documentation
# make docs    the site, in site/
# make bench   every benchmark, results in benchmarks/results/
# make lock    pins the newest releases in constraints.txt
#
# Each target first makes .venv, with gpt2sdk and all plugins installed from this tree.

PYTHON  ?= python3
WORKERS ?= 2

BIN     := .venv/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
READY   := .venv/.ready

export NO_MKDOCS_2_WARNING = 1

.PHONY: demo test check docs bench format lock clean
.DEFAULT_GOAL := test

demo: $(READY)
	@$(BIN)/python scripts/demo.py $(MODEL)

test: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/mkdocs build --strict --quiet

docs: $(READY)
	$(BIN)/mkdocs build --strict

bench: $(READY)
	@for script in benchmarks/bench_*.py; do echo $$script; $(BIN)/python $$script || exit 1; done

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	$(PYTHON) scripts/lock.py

$(READY): constraints.txt requirements-dev.txt pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	@echo "setting up .venv, once: this takes a minute or two"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -r requirements-dev.txt \
	    -e . $(PLUGINS:%=-e ./%)
	@touch $@

clean:
	rm -rf .venv site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
