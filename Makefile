# Two commands do everything: `make demo` and `make test`. See `make help`.
# The first Python that runs and is 3.11 to 3.13; another one with `make PYTHON=...`.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all test-oldest test-pythons coverage lint docs wheel clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || \
		{ echo "hxloop needs Python 3.11 to 3.13; found '$(or $(PYTHON),none)'. Try: make venv PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (one to three minutes, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m hxloop.backends.pynn.neuron_mechanisms
	@touch $(STAMP)

venv: $(STAMP)  ## set up .venv with pinned versions

demo: $(STAMP)  ## train Yin-Yang in the loop on an emulated chip (about 2 minutes)
	@$(BIN)/hxloop train yin-yang-in-the-loop --epochs 20 --out runs/demo --force

test: $(STAMP)  ## run the test suite
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-all: $(STAMP)  ## run the test suite with the slow trainings
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

# Rooms in which other versions of what is installed, or of Python, could show; and where those go.
ROOMS ?= checks network data engine training activity substrate backends
PYTHONS ?= 3.11 3.12 3.13
SET_UP = -m venv $$venv && $$venv/bin/python -m pip install --quiet --disable-pip-version-check
RUN = export NUMBA_CACHE_DIR="$$PWD/$$venv/numba"; $$venv/bin/python -m hxloop.backends.pynn.neuron_mechanisms && \
	$$venv/bin/python -m pytest -n 2 --dist loadgroup -m "not slow" $(addprefix tests/,$(ROOMS))

test-oldest: $(STAMP)  ## some rooms with the oldest versions that pyproject.toml admits (gigabytes, once)
	@venv=.venv-oldest; $(BIN)/python $(SET_UP) -c constraints-oldest.txt -e '.[dev]' && $(RUN)

test-pythons:  ## the same with every Python of PYTHONS that is on this machine
	@for version in $(PYTHONS); do \
		for python in python$$version "$$HOME"/.pyenv/versions/$$version.*/bin/python$$version none; do \
			[ $$python = none ] || ! $$python -c '$(SUPPORTED)' 2>/dev/null || break; \
		done; \
		if [ $$python = none ]; then echo "Skipped: Python $$version is not on this machine"; continue; fi; \
		echo "With $$python:"; \
		venv=.venv-$$version; $$python $(SET_UP) -c constraints.txt -e '.[dev]' && ( $(RUN) ) || exit 1; \
	done

coverage: $(STAMP)  ## which lines and branches of hxloop the tests run
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m coverage run -m pytest -n 2 --dist loadgroup -m "not slow"
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# As whoever installs it gets it: without the simulators, and with nothing of this folder.
wheel: $(STAMP)  ## build wheel and source archive in dist, try the wheel in a fresh environment
	@rm -rf dist build/lib build/bdist.* .venv-wheel
	@$(BIN)/python -W ignore -c "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')" > /dev/null
	@$(PYTHON) -m venv .venv-wheel
	@.venv-wheel/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	@.venv-wheel/bin/python -m pip check
	@cd .venv-wheel && unset PYTHONPATH && bin/hxloop --version && bin/hxloop train yin-yang-in-the-loop \
		--epochs 2 --set backend.options.solver=event --out tried --force
	@ls -l dist

docs: $(STAMP)  ## the documentation, in build/site (runs the tutorials: four minutes, once)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m sphinx -q -W --keep-going -b html \
		-c experiments/tutorials/site -d build/doctrees . build/site
	@echo "Open build/site/index.html"

clean:  ## remove .venv and caches (keeps runs/)
	rm -rf $(VENV) .venv-* .coverage .coverage.* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
