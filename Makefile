# make run     a demo survey, served on this machine
# make test    the whole test suite
# make browser looks at every page with Chromium, and walks through them
# make faults  kills, freezes and starves processes, and installs and starts whole deployments: about ten minutes
# make words   gathers what pages say into the catalogues of portal/translations, to be translated there
# make docs    the guides as HTML, in build/docs
# make check   formatting, lint, types, import contracts
# make bench   measurements, with SWarp and Montage where they are installed; writes benchmarks/results.md
#
# Each makes .venv itself. PYTHON=python3.13 chooses another Python.

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := surveys soda sia datalink hips dali uws vosi accounts portal config
# What works on pixels, before anything has to wait for it.
COMPILE := $(BIN)/python -c "from config.kernels import compile_kernels; compile_kernels(print)"

.PHONY: run test browser faults docs check bench words

# The explorer does without Aladin Lite, where npm or the network is not there.
run: var/.demo
	@! command -v npm > /dev/null || FOUNTAIN_DATA__FOLDER=var $(BIN)/fountain aladin || true
	FOUNTAIN_DATA__FOLDER=var $(BIN)/fountain serve --self-check

test: .venv/.test
	$(COMPILE)
	$(BIN)/pytest $(TESTS)

browser: .venv/.test
	$(COMPILE)
	$(BIN)/pytest -m browser $(TESTS)

faults: .venv/.test
	$(COMPILE)
	NUMBA_CACHE_DIR=$(CURDIR)/.pytest_cache/kernels $(COMPILE)
	$(BIN)/pytest -m 'faults or deployment' $(TESTS)

docs: .venv/.docs
	$(BIN)/sphinx-build -W --keep-going -q -E -a docs build/docs

check: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

words: .venv/.test
	$(BIN)/python -m tests.support.words

bench: .venv/.bench
	$(COMPILE)
	$(BIN)/python -m benchmarks

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.run: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[parquet]'
	touch $@

.venv/.docs: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ .venv/.run

.venv/.test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,docs]'
	touch $@ .venv/.run .venv/.docs

.venv/.bench: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,docs,bench]'
	touch $@ .venv/.run .venv/.docs .venv/.test

var/.demo: .venv/.run config/surveys/demo.toml config/surveys/demo-alerts.toml $(wildcard config/demo/*.py config/migrations/versions/*.py surveys/index/*.py surveys/index/alerts/*.py)
	FOUNTAIN_DATA__FOLDER=var $(BIN)/fountain demo
	touch $@
