# Two commands do everything: `make demo` and `make test`. See `make help`.
# The first Python that runs and is 3.11 to 3.13; another one with `make PYTHON=...`.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && { echo $$python; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all lint clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

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

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:  ## remove .venv and caches (keeps runs/)
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
