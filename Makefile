# SPDX-License-Identifier: Apache-2.0
# Everything a developer or a CI does here. Each target makes the environment it needs in $(VENV) first; it is made
# again only when the interpreter, pyproject.toml or the lock changes.
#
#   make verify [ARGS=...]   environment, install, the main job: hold every machine of the catalogue to its properties
#   make test   [ARGS=...]   environment, install, static checks, all tests but the slow ones
#   make lint                the static checks alone        make format   let ruff rewrite what it can
#   make nightly             the slow tests                 make bench    the benchmarks
#   make test-newest         the tests on the newest Python that Debian has
#   make build               wheel and source archive, tried in an environment of their own
#   make lock                resolve the development lock again
#   make clean               remove everything that was made
#
# PYTHON=/path/to/python chooses the interpreter, VENV=folder the place of the environment.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

SHELL := /bin/sh
.DEFAULT_GOAL := test
.DELETE_ON_ERROR:
.PHONY: verify test lint format nightly bench test-newest build lock clean environment

BIN := $(VENV)/bin
PACKAGES := spec model reference_impl conformance
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
python_version := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
created := $(VENV)/created-with-$(python_version)
installed := $(VENV)/installed-with-$(python_version)

verify: $(installed)
	$(BIN)/accelspec verify $(ARGS)

test: lint
	$(BIN)/python -m pytest $(ARGS)

lint: $(installed)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYRIGHT_PYTHON_GLOBAL_NODE=0 $(BIN)/pyright --pythonpath $(BIN)/python --warnings

format: $(installed)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

environment: $(installed)

$(installed): $(created) pyproject.toml requirements-dev.lock .pkg/accelspec/__init__.py
	@echo "installing what requirements-dev.lock lists into $(VENV) (once)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(created):
	@sh tools/check_python.sh $(PYTHON)
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
