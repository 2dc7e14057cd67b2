# The one door. Each target sets up what it needs in $(VENV), without activation; a repeated run skips that.
# Another interpreter or folder: make test PYTHON=python3.12 VENV=.venv-3.12

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3 python3.13 python3.12 python3.11
VENV ?= .venv
BIN := $(VENV)/bin
QUICKSTART := experiments/bench/quickstart.yml
# Processes that share the test suite.
WORKERS ?= 2

# The first interpreter that is new enough, and its version: "python3 3.11"; empty if there is none.
FOUND := $(shell for python in $(PYTHON); do \
  "$$python" -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit(1); print(sys.argv[1], "%d.%d" % v[:2])' \
    "$$python" 2>/dev/null && break; done)

# What is installed is remembered by a mark whose name holds the hash of all that decides it; a change of one of them
# installs again. The mark is set last, so a half-finished installation is done again too.
STATE := $(shell { cat pyproject.toml Makefile; echo '$(FOUND)'; } | sha256sum | cut -c 1-16)
# PoCL links its kernels with `ld`; where there is none, ziglang's linker comes along (81 MB to download).
CORE := $(VENV)/.installed-core$(if $(shell command -v ld),,-linker)-$(STATE)
LAB := $(VENV)/.installed-lab-$(STATE)
DEV := $(VENV)/.installed-dev-$(STATE)

.PHONY: help env report test lab check ci docs pictures clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(CORE) ## only the environment that `make report` uses

report: $(CORE) ## measure this machine's OpenCL device; the last line is the report's path
	@code=0; $(BIN)/rx580lab run $(QUICKSTART) | tee $(VENV)/.last-run || code=$$?; \
	report="$$(tail -n 1 $(VENV)/.last-run)/report.html"; \
	if [ -f "$$report" ]; then echo "$$report"; fi; exit $$code

test: $(DEV) ## the test suite, notebooks included
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile

lab: $(LAB) ## open JupyterLab at the tour; it asks the network for nothing
	@$(BIN)/python -m rx580lab.jupyter

check: $(DEV) ## style, types, layers and the house rules, without the suite
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -q tests/test_house.py tests/test_docs.py

ci: check test ## all that .ci/run holds a change to: `make test`, then the slow tiers
	@$(BIN)/python -m rx580lab.selftest.sanitize
	@$(BIN)/rx580lab selftest --limits rx580 --soak 60

docs: $(DEV) ## the pages of docs/, from the code, the suites and the baseline of bench/ops
	@mkdir -p docs; $(BIN)/python -m rx580lab.selftest.page > docs/.ops.md; mv docs/.ops.md docs/ops.md
	@$(BIN)/python -m rx580lab.graph.page > docs/.operators.md; mv docs/.operators.md docs/operators.md
	@$(BIN)/python -m rx580lab.serve.page > docs/.serve.md; mv docs/.serve.md docs/serve.md

pictures: $(DEV) ## the README's pictures, from the newest whole run of `make report` and from JupyterLab
	@$(BIN)/python -m tests.pictures

clean: ## remove the environment and the tools' caches; runs under reports/ stay
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(CORE): EXTRAS := $(if $(shell command -v ld),,[linker])
$(LAB): EXTRAS := [lab]
$(DEV): EXTRAS := [dev]
$(CORE) $(LAB) $(DEV):
	@python='$(firstword $(FOUND))'; version='$(lastword $(FOUND))'; \
	if [ -z "$$python" ]; then \
	  echo 'rx580lab needs Python 3.11 or newer, and none of these is: $(PYTHON)' >&2; \
	  echo 'Install one, or name yours: make report PYTHON=/path/to/python3.11' >&2; exit 1; \
	fi; \
	if ! [ -d $(VENV)/lib/python$$version/site-packages ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$$python lacks its venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	  "$$python" -m venv --clear $(VENV); \
	fi; \
	find $(VENV) -maxdepth 1 -name '.installed-*' ! -name '*-$(STATE)' -delete; \
	echo "Installing rx580lab$(EXTRAS) into $(VENV) ..."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'; \
	touch $@
