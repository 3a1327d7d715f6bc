# setup          install what is needed with apt and pip (bundle, test and check do this themselves)
# bundle         build the bundle SPEC (default: electrum) into dist/
# test           everything: style, types, fast tests, and the tests that build, run Wine and use package mirrors
# check          style, types and the fast tests: no root, no network, no Wine, a minute or two
# test-tor       of these, what runs in a private Tor network: look-ups through tor under Wine, kills, Chromium
# test-cpython   CPython's own tests on the interpreter under Wine, against tests/cpython/expected.toml: half an hour
# schemas        write docs/schema/ from the types
# bench          time the packager's own work
# bench-resolver time the .bit payload under Wine in a private Tor network, and weigh it
# bench-python   time the interpreter: ours under Wine, ours for Linux, Debian's; docs/performance.md
# clean          remove dist/ and caches of tools; the store stays (see `packager --help`)

SPEC ?= electrum
ARGS ?=
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup bundle test test-tor test-cpython check lint unit schemas bench bench-resolver bench-python clean

setup: .venv/.installed

.venv/.installed: pyproject.toml scripts/install-machine-packages
	./scripts/install-machine-packages
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"Python 3.11 or later is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.x" if v < (3, 11) else 0)'
	@echo "installing Python packages into .venv with pip"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

bundle: setup
	$(BIN)/packager build $(SPEC) $(ARGS)

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/make-schemas --check

unit:
	$(BIN)/pytest -m 'not integration' $(ARGS)

check: setup
	$(MAKE) lint unit

test: setup
	./scripts/install-machine-packages --tests
	$(MAKE) lint
	$(BIN)/pytest $(ARGS)

test-tor: setup
	./scripts/install-machine-packages --tests
	$(BIN)/pytest -s tests/tor tests/integration/test_tor_controller.py tests/integration/test_tor_native.py \
		tests/integration/test_stemns.py tests/integration/test_tor_bundle.py $(ARGS)

test-cpython: setup
	$(BIN)/python -m tests.cpython $(ARGS)

schemas: setup
	$(BIN)/python scripts/make-schemas

bench: setup
	$(BIN)/python -m tests.bench

bench-resolver: setup
	./scripts/install-machine-packages --tests
	$(BIN)/python -m tests.bench_resolver $(ARGS)

bench-python: setup
	./scripts/install-machine-packages --tests
	$(BIN)/python -m tests.bench_python $(ARGS)

clean:
	rm -rf dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
