# `make help` lists the targets. Each sets up what it needs, once.
# The newest Python that runs is taken; `make book PYTHON=/path/to/python3.12` names another.
PYTHONS := python3.14 python3.13 python3.12 python3.11 python3 python
VENV ?= .venv
INSTALL := pm_utils/builder/install.py
PROFILE ?= quick

# Inside a conda environment that environment.yml made, no second one is made.
ifdef CONDA_PREFIX
CONDA_STATE := $(shell "$(CONDA_PREFIX)/bin/python" -I $(INSTALL) --conda "$(CONDA_PREFIX)" 2>&1)
ifneq ($(filter whole stale,$(CONDA_STATE)),)
VENV := $(CONDA_PREFIX)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help setup book test lab seeds doctor bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo 'PYTHON=/path/to/python names the Python, from 3.11 to 3.14; the newest found is the default'

setup: ## make or mend the environment; the other targets do so first
ifeq ($(CONDA_STATE),whole)
	@echo "uses the active conda environment $(VENV)"
else ifeq ($(CONDA_STATE),stale)
	@echo "error: the active conda environment lacks pins of requirements.lock:" \
		"run conda env update -f environment.yml, or conda deactivate" >&2; exit 1
else
	@for python in $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); do \
		if "$$python" -I $(INSTALL) --fits >/dev/null 2>&1; then \
			exec "$$python" -I $(INSTALL) "$(VENV)" $(if $(PYTHON),--asked); fi; \
	done; \
	echo "error: no Python from 3.11 to 3.14 that runs and has the module venv:" \
		"looked for $(if $(PYTHON),PYTHON=$(PYTHON),$(PYTHONS))." \
		"Install one (README, What you need) or name one: make PYTHON=/path/to/python3.13" >&2; exit 1
endif

book: setup ## execute the chapters that changed and build _build/html (PROFILE=full for all figures)
	$(VENV)/bin/pm book --profile $(PROFILE)

test: setup ## check style and run the tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 --doctest-modules pm_utils
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

lab: setup ## open JupyterLab on working copies of the chapters, in play/
	$(VENV)/bin/pm play --lab

seeds: setup ## run a chapter under ten seeds and write its evidence: make seeds CHAPTER=03
	$(VENV)/bin/pm seeds $(CHAPTER)

doctor: setup ## say whether this machine has what the book needs
	$(VENV)/bin/pm doctor

bench: setup ## measure DeepInterestNet beside the same network of deepctr-torch
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		-c requirements.lock -e ".[bench]"
	$(VENV)/bin/python bench/din.py

clean: ## remove everything that is built, but not the environment
	@if [ -x $(VENV)/bin/pm ]; then exec $(VENV)/bin/pm clean; fi; \
	if [ -f _build/pm.lock ] && command -v flock >/dev/null && ! flock -n _build/pm.lock true; then \
		echo "error: a pm works here: wait until it ends" >&2; exit 1; fi; \
	rm -rf book/chapters book/_generated; \
	[ ! -d _build ] || find _build/ -mindepth 1 -maxdepth 1 ! -name 'pm.*' -exec rm -rf {} +
