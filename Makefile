# `make help` lists the targets. Each sets up what it needs, once.
PYTHON ?= python3.11
VENV := .venv
READY := $(VENV)/.ready
PROFILE ?= quick

.DEFAULT_GOAL := help
.PHONY: help book test lab seeds bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY) ## execute the chapters that changed and build _build/html (PROFILE=full for all figures)
	$(VENV)/bin/pm book --profile $(PROFILE)

test: $(READY) ## check style and run the tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

lab: $(READY) ## open JupyterLab on the notebooks
	$(VENV)/bin/jupyter lab --notebook-dir=notebooks

seeds: $(READY) ## measure the bounds of a chapter over ten seeds: make seeds CHAPTER=03
	$(VENV)/bin/pm seeds $(CHAPTER)

bench: $(READY) ## measure DeepInterestNet beside the same network of deepctr-torch
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		-c requirements.lock -e ".[bench]"
	$(VENV)/bin/python bench/din.py

clean: ## remove everything that is built, but not the environment
	@if [ -x $(VENV)/bin/pm ]; then $(VENV)/bin/pm clean; \
	else rm -rf _build book/chapters book/_generated; fi
