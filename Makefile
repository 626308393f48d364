# SPDX-License-Identifier: Apache-2.0
# Everything a developer or a CI does here. A target makes the environment that it needs in $(VENV) first; it is made
# again only when the interpreter, the project file, the lock or the version changes.
#
#   make verify        the main job: hold every machine of the catalogue to its properties; build/report.html
#   make test          the static checks, then all tests but the slow ones
#   make lint          the static checks alone
#   make pytest        the tests alone
#   make format        let ruff rewrite what it can
#   make nightly       the slow tests, on new random cases: SEED=... repeats a night
#   make bench         the benchmarks; make bench-reference those of the reference implementation alone
#   make test-newest   the tests on the newest Python that Debian has
#   make test-lowest   the tests with the oldest dependencies that pyproject.toml admits
#   make package       wheel and source archive in dist/, tried in an environment of their own
#   make lock          resolve the development lock again
#   make clean         remove everything that was made
#
# ARGS='...' is passed on to the command, PYTHON=... chooses the interpreter, VENV=... the place of the environment.

PYTHON ?= python3
VENV ?= .venv
SEED ?= $(shell date +%Y%m%d)
ARGS ?=

.DEFAULT_GOAL := test
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: verify test lint pytest format nightly bench bench-reference test-newest test-lowest package lock clean environment

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
python_version := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
created := $(VENV)/created-with-$(python_version)
installed := $(VENV)/installed-with-$(python_version)

verify: $(installed)
	@mkdir -p build
	$(BIN)/accelspec verify -o build/report.html -o build/result.json $(ARGS)

test: lint pytest

# pyright runs on the Node.js of the lock, not on whatever the machine has.
lint: $(installed)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYRIGHT_PYTHON_GLOBAL_NODE=0 $(BIN)/pyright --pythonpath $(BIN)/python --warnings

# A worker for each core, four at most; the tests of a module stay together, they share what takes long to make.
pytest: $(installed)
	$(BIN)/python -m pytest -n auto --maxprocesses=4 --dist loadscope $(ARGS)

format: $(installed)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

nightly: $(installed)
	$(BIN)/python -m pytest -m slow --timeout=7200 --hypothesis-profile=fuzz --hypothesis-seed=$(SEED) $(ARGS)

bench: $(installed)
	$(BIN)/python -m accelspec.conformance.bench $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory bench-reference)

bench-reference: $(installed)
	$(BIN)/python -m accelspec.reference_impl.bench $(ARGS)

# The interpreter lies in the user's cache folder, the environment in a folder of its own beside $(VENV).
test-newest:
	@python=$$(sh tools/newest_python.sh) && \
		$(MAKE) --no-print-directory pytest PYTHON="$$python" VENV="$(VENV)-newest" ARGS='$(ARGS)'

test-lowest:
	@sh tools/check_python.sh '$(PYTHON)'
	@$(PYTHON) -m venv --clear $(VENV)-lowest
	@$(VENV)-lowest/bin/python -m pip --disable-pip-version-check -qq install uv
	@$(VENV)-lowest/bin/uv pip install -q --python $(VENV)-lowest/bin/python --resolution lowest-direct -e '.[dev]'
	$(VENV)-lowest/bin/python -m pytest $(ARGS)

package: $(installed)
	@sh tools/try_package.sh $(BIN)/python

lock:
	@sh tools/lock.sh $(PYTHON)

environment: $(installed)

$(installed): $(created) pyproject.toml requirements-dev.lock .pkg/accelspec/__init__.py
	@echo "installing what requirements-dev.lock lists into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(created):
	@sh tools/check_python.sh '$(PYTHON)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-newest $(VENV)-lowest build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
