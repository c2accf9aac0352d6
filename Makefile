# What people type. `make demo` and `make test` work on a fresh machine with python3, python3-venv and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENTS_STAMP := tests/clients/node_modules/.package-lock.json
PORT ?= 8080

# Tests that need nothing but what `make test` sets up.
PLAIN := not soak and not edge and not clients and not chart

comma := ,
empty :=
space := $(empty) $(empty)
PURE := $(subst $(space),$(comma),services/gateway/wire/* services/gateway/translation/* \
  $(patsubst %,services/gateway/%.py,dialect routing providers catalogue identity mutations usage quota conversion \
  preparation retries breakers concurrency cors settings settings_rules format_memory system_blocks) \
  $(patsubst %,services/credentials/%.py,keyring envelope records rotation_plan key_format audit_chain refresh findings \
  schedule leases token_provider seed_file settings oauth/steps oauth/vendors oauth/answers oauth/exchange \
  oauth/callback oauth/flows oauth/resolution oauth/renewal) services/chassis/sealing.py services/chassis/peer/proof.py \
  services/chassis/peer/settings.py)

.PHONY: demo serve test again edge coverage check chart compose chart-reference released bench soak clients clients-again interpreters lock clean help

help:
	@echo "make demo     serve on port $(PORT) with a simulated upstream: no account needed"
	@echo "make serve    serve with your own plan (ZCODE_API_KEY or config.yaml)"
	@echo "make test     set everything up and run the tests"
	@echo "make check    format, lint, types, imports"
	@echo "make chart    the Helm chart: rendered, judged, and run as containers where there is root and dockerd"
	@echo "make compose  deploy/compose.yaml, started where there is root and dockerd"
	@echo "make clients  real clients from npm against the gateway (Codex, Claude Code, Cline, OpenCode, Qwen Code)"
	@echo "make edge     the gateway behind nginx (needs nginx)"
	@echo "make bench    measure against haproxy, nginx and other gateways"
	@echo "make soak     the promises' full number of repetitions"
	@echo "make released keep what is being released, for the next one's tests of upgrades"
	@echo "make lock     pin the dependencies anew, a week behind the newest"

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing (once, hash-checked) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	$(BIN)/zcode-proxy serve --demo --port $(PORT)

serve: $(STAMP)
	$(BIN)/zcode-proxy serve --port $(PORT)

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 -m "$(PLAIN)"
	$(MAKE) --no-print-directory interpreters

# For CI: a few tests that failed beside all the others, once more and alone. A fault fails again.
again: $(STAMP)
	@test "$$(grep -c '::' .pytest_cache/v/cache/lastfailed)" -le 5
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none -m "$(PLAIN)"
	$(MAKE) --no-print-directory interpreters

edge: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 -m "edge and not soak"

# The pure rooms must be covered whole, lines and branches, by the unit tests alone.
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not soak" tests/unit/gateway tests/unit/credentials tests/unit/chassis
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=100 --show-missing --skip-covered --include=$(PURE)

# The pure rooms on every other interpreter of this machine that is new enough.
interpreters: $(STAMP)
	@$(BIN)/python tests/support/interpreters.py

clients: $(STAMP) $(CLIENTS_STAMP)
	$(BIN)/python -m pytest -q -n 2 -m clients tests/clients

# For CI, as `again`: one client's own hiccup, such as Qwen Code's that lost what a command had printed.
clients-again: $(STAMP)
	@test "$$(grep -c '::' .pytest_cache/v/cache/lastfailed)" -le 2
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none -m clients tests/clients

# Not `npm ci`: some clients name packages for other platforms that a mirror may lack, and it refuses a lock without them.
# What the lock holds is installed as it stands there, hash-checked; --no-save keeps both files as they are.
$(CLIENTS_STAMP): tests/clients/package.json tests/clients/package-lock.json
	@echo "installing the clients (once, some 1.1 GB) …"
	@cd tests/clients && npm install --no-save
	@touch $@

check: $(STAMP)
	$(BIN)/ruff format --check services tests bench deploy helm
	$(BIN)/ruff check services tests bench deploy helm
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/codespell README.md CHANGELOG.md docs services deploy

# The chart's ladder. Everything but the last step runs anywhere; that one runs the image and the rendered pods for real.
chart: $(STAMP) .venv-checkov/.installed
	$(BIN)/python -m tests.chart.tools
	$(BIN)/python -m pytest -q -n 2 -m "chart and not containers" tests/chart
	@if why=$$($(BIN)/python -m tests.chart.engine); then $(BIN)/python -m pytest -q -p no:randomly tests/chart/containers; \
	  else echo "the chart's pods were NOT run as containers: $$why"; fi

# deploy/compose.yaml, started for real; `make chart` does it too.
compose: $(STAMP)
	@if why=$$($(BIN)/python -m tests.chart.engine); then \
	  $(BIN)/python -m pytest -q -p no:randomly tests/chart/containers/test_compose.py; \
	  else echo "deploy/compose.yaml was NOT started: $$why"; fi

chart-reference: $(STAMP)
	$(BIN)/python -m tests.chart.reference

# At a release: its chart and a wheel of its services stay here, and what comes later is run beside them (P-68).
released: $(STAMP)
	$(BIN)/python -m tests.support.releases
	"$$($(BIN)/python -m tests.chart.tools)" package helm/zcode-proxy -d tests/chart/released

# checkov's hundred packages stay out of the project's own environment.
.venv-checkov/.installed: tests/chart/checkov.lock
	@$(PYTHON) -m venv .venv-checkov
	@.venv-checkov/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r tests/chart/checkov.lock
	@touch $@

soak: $(STAMP)
	$(BIN)/python -m pytest -q -m soak

# BENCH="--quick" is 2 minutes without other gateways, BENCH="--full" the thorough one. Needs a C compiler and 2 cores.
bench: $(STAMP) .venv-bench/.installed
	$(BIN)/python -m bench $(BENCH)

# matplotlib draws the plot; it stays out of the project's own environment.
.venv-bench/.installed: bench/requirements.lock
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r bench/requirements.lock
	@touch $@

lock: $(STAMP)
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-config --exclude-newer "1 week" bench/requirements.in -o bench/requirements.lock
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-config --exclude-newer "1 week" deploy/build.in -o deploy/build.lock
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-config --exclude-newer "1 week" deploy/audit.in -o deploy/audit.lock
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-config --exclude-newer "1 week" tests/chart/checkov.in -o tests/chart/checkov.lock
