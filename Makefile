# Everything a person types. The first target that needs it makes the Python environment (`make env`) in the user's
# cache, from requirements/lock.txt; the servers' jars follow with `local up`. Needed: Python 3.11, a JDK 17, Maven.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SHA256 := $(if $(shell command -v sha256sum),sha256sum,shasum -a 256)
hash = $(shell $(SHA256) $(1) | cut -c1-12)

LOCK := requirements/lock.txt
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ecommerce-lambda
VENV := $(CACHE)/venv-$(call hash,$(LOCK))
UV := $(CACHE)/uv-$(call hash,local/uv.txt)
# A marker is the last thing an installation writes: one that was cut off is made anew.
MARKER := .complete
# Of the tests, as pyproject.toml has it for a call without `-m`.
SHORT := not faults and not long
PYTHON := $(VENV)/bin/python

export PYTHONPATH := $(CURDIR)

.PHONY: help env install demo test test-k8s test-long test-faults lint bench bench-k8s images up dev operators down status charts publish schemas readmes dashboards contracts hooks docs local-up local-down local-status local-env sql lock clean

help: ## Show this list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

env: $(VENV)/$(MARKER) ## Make the Python environment (done by every target that needs it)

install: env ## Fetch the servers' jars as well
	@$(PYTHON) -m local install

demo: env ## Run the whole pipeline on real servers and report; KEEP=1 leaves them running
	@$(PYTHON) -m local.demo $(ARGS)

lint: env ## Style, types, and who imports whom
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

test: lint ## Style, types, all tests and what they cover; ARGS go to pytest, of some tests nothing is measured
ifdef ARGS
	@$(PYTHON) -m pytest $(ARGS)
else
	@# On a new machine what the tests on a cluster need is built meanwhile.
	@if [ -z "$${KUBECONFIG:-}" ] && command -v go > /dev/null; then nice -n 19 $(PYTHON) -m deploy.tools > /dev/null 2>&1 & fi; status=0; \
	$(PYTHON) -m pytest -n 2 --no-loadscope-reorder -m '$(SHORT) and not cluster' --cov --cov-report= --cov-fail-under=0 || status=$$?; \
	$(PYTHON) -m pytest k8s-tests -m '$(SHORT) and cluster' --maxfail 5 --cov --cov-append || status=$$?; exit $$status
endif

test-k8s: env ## The tests on a cluster alone: KUBECONFIG's, kind, or a node of packages; KEEP=1 leaves it
	@$(PYTHON) -m pytest k8s-tests $(ARGS)

test-long: env ## What takes minutes each, on the local stack and on a cluster (45 minutes)
	@$(PYTHON) -m pytest -m long $(ARGS)

test-faults: env ## Delete a pod of each kind under load, and print how long each took to recover (40 minutes)
	@$(PYTHON) -m pytest -s -m faults k8s-tests $(ARGS)

images: env ## Build the container images; ARGS=--push=REGISTRY pushes them
	@$(PYTHON) -m images build $(ARGS)

up: env ## The platform on a cluster: KUBECONFIG's (with REGISTRY), kind, or a node of packages
	@$(PYTHON) -m deploy up $(ARGS)

dev: env ## Run on the cluster what is saved, until Ctrl-C; starts the platform as `up` does where it is not up
	@$(PYTHON) -m deploy dev $(ARGS)

operators: env ## Install the operators of Strimzi and Spark on the cluster of KUBECONFIG; needs the internet
	@$(PYTHON) -m deploy operators $(ARGS)

down: env ## Uninstall it, and end the cluster that `up` started
	@$(PYTHON) -m deploy down $(ARGS)

status: env ## What runs on the cluster, and the addresses
	@$(PYTHON) -m deploy status

charts: env ## Pack the charts' dependencies, for a `helm install` by hand
	@$(PYTHON) -m deploy dependencies

publish: env ## Pack the charts and push them to an OCI registry: ARGS=oci://HOST/PATH, with --sign and --keyring signed
	@$(PYTHON) -m deploy publish $(ARGS)

schemas: env ## Write the charts' values.schema.json from their values.yaml
	@$(PYTHON) -m deploy schemas

readmes: env ## Write the charts' README.md from the comments of their values.yaml
	@$(PYTHON) -m deploy readmes

dashboards: env ## Write Grafana's dashboards into the umbrella chart from deploy/dashboards
	@$(PYTHON) -m deploy dashboards

contracts: env ## Write docs/contracts.md from contracts/
	@page=$$($(PYTHON) -m contracts) && printf '%s\n' "$$page" > docs/contracts.md

hooks: env ## Have git check each commit: what .pre-commit-config.yaml lists
	@$(VENV)/bin/pre-commit install

docs: env ## Build the docs site into build/docs; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

bench: env ## Measure; results under build/bench
	@$(PYTHON) -m bench $(ARGS)

bench-k8s: env ## Measure the platform on a cluster: first row in HBase, memory, ingest
	@$(PYTHON) -m bench kubernetes kubernetes-ingest

local-up: env ## Start the servers and wait until they serve
	@$(PYTHON) -m local up $(ARGS)

local-down: env ## Stop them; ARGS=--wipe removes their data as well
	@$(PYTHON) -m local down $(ARGS)

local-status: env ## Show them
	@$(PYTHON) -m local status

local-env: env ## Print the settings for other shells, as export lines
	@$(PYTHON) -m local env

sql: env ## A prompt on the SQL endpoint, or Q="select …" for one statement
	@if [ -n "$${Q:-}" ]; then $(PYTHON) -m local sql -e "$$Q"; else $(PYTHON) -m local sql; fi

lock: $(UV)/$(MARKER) ## Resolve pyproject.toml anew into requirements/lock.txt
	@$(UV)/bin/uv pip compile pyproject.toml --quiet --upgrade --all-extras --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --output-file $(LOCK)
	@for group in tasks spark generator serving airflow; do \
		$(UV)/bin/uv pip compile --quiet --group $$group --constraint $(LOCK) --python-version 3.11 --generate-hashes \
			--no-header --no-annotate --no-emit-index-url --output-file requirements/$$group.txt; done

clean: ## Remove build/ (stop the servers first)
	@if [ -S "$$(cat build/local/run/supervisord.socket 2>/dev/null)" ]; then \
		echo 'error: the local servers may be running; stop them with `make local-down`' >&2; exit 1; fi
	rm -rf build .mypy_cache .ruff_cache .pytest_cache

$(VENV)/$(MARKER): $(UV)/$(MARKER)
	@echo 'Installing the Python environment' >&2
	@rm -rf $(VENV)
	@python3.11 -m venv --without-pip $(VENV)
	@$(UV)/bin/uv pip sync --compile-bytecode --python $(PYTHON) --require-hashes $(LOCK)
	@touch $@

$(UV)/$(MARKER):
	@command -v python3.11 >/dev/null || { echo 'error: python3.11 was not found; install Python 3.11' >&2; exit 1; }
	@rm -rf $(UV)
	@python3.11 -m venv $(UV)
	@$(UV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r local/uv.txt
	@touch $@
