# Two commands: `make demo` and `make test`. Both make the environment they need in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOR ?= 2m
KILLS ?= 200
FREEZES ?= 20
HOSTILE ?= 200
ROUNDS ?= 5
FAULTS ?= 200
MANY ?= 2000
LANES ?= 4
SEED ?= 1
HOURS ?= 72
TIMES ?= 1
DRAWS ?= 10
FEDERATED ?= 200
MILLIONS ?= 1,10
FREE ?= 15
# Where Python may not keep what it compiled, each start of saf would compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE
SLURM := slurm and not every_version and not alone
FIRST := tests/cluster $(wildcard tests/end_to_end/test_[a-f]*.py)
SHOWN := tests/cli tests/monitor tests/report tests/second tests/tamper
LANE1 := $(BIN)/pytest -o cache_dir=build/cache1 -m '$(SLURM)' $(FIRST)
LANE2 := $(BIN)/pytest -o cache_dir=build/cache2 -m '$(SLURM)' $(FIRST:%=--ignore=%)
LANE3 := nice $(BIN)/pytest -o cache_dir=build/cache3 -m 'not slurm' $(SHOWN)
LANE4 := nice $(BIN)/pytest -o cache_dir=build/cache4 -m 'not slurm' $(SHOWN:%=--ignore=%)

.PHONY: faults freeze tamper help demo demo-slurm test test-again test-fast test-long test-model test-archive-engines test-install test-packages deb rpm lint slurm slurm-roots test-slurm-all seen examples pictures crash hostile accept-slurm accept-switch accept-promises evaluate evaluate-promises docs docs-serve bench-energy bench-simulate bench-ingest bench-sizes bench-scale bench-scrape bench-tree bench-sources clean accept-grid federation ha chaos chaos-model soak
.DEFAULT_GOAL := help

help:  ## Show these targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } || \
		{ echo "python3 -m venv does not work here; as root: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded,simulate,dev]'
	@touch $@

slurm:  ## Install Debian's Slurm, MariaDB and munge for the tests and demo-slurm (as root).
	@sh tests/cluster/install.sh

seen:  ## Install Debian's Prometheus, Chromium, poppler-utils, systemd, mandoc, and npm's axe-core for the tests (as root).
	@sh tests/monitor/install.sh

demo: $(VENV)/.installed  ## The daemon in enforce mode on a model cluster, an hour of it each second; FOR=10m for longer.
	@$(BIN)/saf demo --for $(FOR)

demo-slurm: $(VENV)/.installed slurm  ## The same against a real Slurm on loopback (as root).
	@$(BIN)/python -m tests.cluster.demo --for $(FOR)

test: $(VENV)/.installed slurm seen lint  ## Everything: static checks, unit tests, real Slurm, Prometheus, Chromium.
	@# What needs a real Slurm waits more than it works, and goes first. No lane reads, and all end with make.
	@mkdir -p build; rm -f build/failed.*; lanes=; failed=0; lane=0; \
		$(foreach lane,1 2 3,$(LANE$(lane)) </dev/null >build/lane$(lane).log 2>&1 & lanes="$$lanes $$!";) \
		trap 'kill -INT $$lanes 2>/dev/null; wait; exit 130' INT TERM HUP; \
		$(LANE4) </dev/null || { failed=$$?; echo $$failed >build/failed.4; }; \
		for pid in $$lanes; do lane=$$((lane + 1)); wait $$pid || { failed=$$?; echo $$failed >build/failed.$$lane; }; done; \
		cat build/lane?.log; grep -hE '^(E   |FAILED |ERROR )' build/lane?.log; exit $$failed

test-again: $(VENV)/.installed  ## What failed in the last make test, once more and alone: what passes now depends on the load, and wants mending.
	@ls build/failed.* >/dev/null; failed=0; \
		$(foreach lane,1 2 3 4,[ ! -e build/failed.$(lane) ] || { grep -qx 1 build/failed.$(lane) && \
			$(LANE$(lane)) --last-failed --last-failed-no-failures none </dev/null; } || failed=1;) \
		exit $$failed

test-fast: $(VENV)/.installed  ## What needs no Slurm.
	$(BIN)/pytest -m 'not slurm'

test-long: $(VENV)/.installed  ## The same with ten times as many generated cases.
	$(BIN)/pytest -m 'not slurm' --hypothesis-profile long

lint: $(VENV)/.installed  ## ruff, mypy, import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test-model: $(VENV)/.installed slurm  ## The model cluster beside a real Slurm, pass by pass; on a quiet machine.
	$(BIN)/pytest tests/end_to_end/test_model.py

test-slurm-all: $(VENV)/.installed slurm-roots  ## What every source has to tell, on Slurm 22.05, 24.11, 26.05 and, where it is, 25.11.
	SAF_CONTRACT=docs/sources.json $(BIN)/pytest -m "slurm or contract" tests/slurm tests/cluster/test_versions.py
	@$(BIN)/python -m docs.generate

test-archive-engines: $(VENV)/.installed  ## Ask an archive through ClickHouse too; installs chdb, 900 MB, in build/engines.
	@test -d build/engines/chdb || $(BIN)/pip install --quiet --disable-pip-version-check --target build/engines 'chdb>=4,<5'
	PYTHONPATH=build/engines $(BIN)/pytest tests/cli/ledger/test_archive.py -k 'engine or account_and_month'

test-install: $(VENV)/.installed slurm  ## Type the block of docs/howto/install.md on a bare Debian 12 and 13 (as root).
	@sh tests/cluster/roots.sh debian-12 debian-13 24.11
	@$(BIN)/python -m tests.install

deb: $(VENV)/.installed  ## Build the Debian package, in build/packages/now; it needs debhelper.
	@rm -rf build/packages/now
	@sh deploy/deb.sh build/packages/now

rpm: $(VENV)/.installed  ## Build the package for EL9, in build/packages/rpm, and check what is in it; it needs rpm.
	@rm -rf build/packages/rpm
	@sh deploy/rpm.sh build/packages/rpm
	@sh tests/install/rpm.sh build/packages/rpm/*.rpm

test-packages: deb slurm  ## Install, upgrade, remove and purge it on Debian 12 and 13 without a network (as root).
	@command -v lintian >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends lintian; }
	lintian --allow-root --fail-on error --display-level '>=error' build/packages/now/*.deb
	@sh tests/cluster/roots.sh packages-12 packages-13 24.11
	@rm -rf build/packages/before && sh tests/install/before.sh build/packages/before
	@unshare --net sh -ec 'ip link set lo up; ip address add 192.0.2.1/32 dev lo; exec $(BIN)/python -m tests.install.packages build/packages'

slurm-roots: slurm  ## Make Slurm 24.11 and 26.05 in /var/cache/saf-slurm, or SAF_SLURM_ROOTS (as root).
	@sh tests/cluster/roots.sh

crash: $(VENV)/.installed slurm  ## Kill saf while it writes, KILLS=200 times, and compare the ledger row for row.
	KILLS=$(KILLS) $(BIN)/pytest -s tests/end_to_end/test_crash.py

freeze: $(VENV)/.installed slurm  ## Freeze a leader in the middle of a write, FREEZES=20 times, while another takes over.
	FREEZES=$(FREEZES) $(BIN)/pytest -s tests/end_to_end/test_trust.py -k frozen

faults: $(VENV)/.installed slurm  ## Every fault on a real Slurm with live jobs, TIMES=1; half an hour, result in docs/evaluation.
	@$(BIN)/python -m tests.faults --times $(TIMES) --docs

ha: $(VENV)/.installed slurm  ## Lose a daemon or a database of two, ROUNDS=5 times each, on a real Slurm; result in docs/evaluation.
	@$(BIN)/python -m tests.faults.ha $(ROUNDS)

chaos: $(VENV)/.installed slurm  ## FAULTS=200 drawn faults, SEED=1, on a real Slurm; an hour, goes on where it stopped; result in docs/evaluation.
	@$(BIN)/python -m tests.faults.campaign --faults $(FAULTS) --seed $(SEED) --docs

chaos-model: $(VENV)/.installed  ## MANY=2000 drawn faults, SEED=1, on the model cluster, LANES=4 side by side (as root); goes on where it stopped.
	@$(BIN)/python -m tests.faults.model_campaign --faults $(MANY) --seed $(SEED) --lanes $(LANES) --docs

soak: $(VENV)/.installed  ## The daemon for HOURS=72 hours of the model cluster; what grows, and how fast; result in docs/evaluation.
	@HOURS=$(HOURS) $(BIN)/python -m tests.benchmarks.soak

drill: $(VENV)/.installed  ## Lose a ledger, restore it on another PostgreSQL and to a point in time; POSTGRES="DIRECTORY ..." names servers.
	@$(BIN)/python -m tests.drill $(POSTGRES)

tamper: $(VENV)/.installed  ## One change by hand in each column of a ledger with published reports; who finds it, in docs/evaluation.
	@$(BIN)/python -m tests.tamper

hostile: $(VENV)/.installed slurm  ## Hostile text in every field of a real Slurm, HOSTILE=200 texts; then the ledger against numbers alone.
	HOSTILE=$(HOSTILE) $(BIN)/pytest -s tests/hostile

accept-slurm: $(VENV)/.installed slurm  ## The floor on a real Slurm, beside static shares; half an hour, result in docs/evaluation.
	@$(BIN)/python -m tests.acceptance --keep accept-slurm.json

accept-switch: $(VENV)/.installed slurm  ## A QOS as the lever on a real Slurm, ten minutes; result in docs/evaluation.
	@$(BIN)/python -m tests.acceptance.switch

accept-grid: $(VENV)/.installed slurm  ## A limit of the grid on a real Slurm: nodes free in time, no job killed; two minutes.
	$(BIN)/pytest -s tests/end_to_end/test_grid.py

federation: $(VENV)/.installed slurm  ## A real federation of two clusters: each job counts once; FEDERATED=20 for a quick one.
	FEDERATED_JOBS=$(FEDERATED) $(BIN)/pytest -s tests/end_to_end/test_federation.py

accept-promises: $(VENV)/.installed slurm  ## Two floors and a cap on a real Slurm, beside static shares; 20 minutes, result in docs/evaluation.
	@$(BIN)/python -m tests.acceptance.promises

evaluate: $(VENV)/.installed  ## The law beside other policies, half an hour; LOGS=FOLDER for real logs; result in docs/evaluation.
	@mkdir -p build
	@$(BIN)/python -m tests.benchmarks.evaluate build/evaluation.json $(LOGS)
	@$(BIN)/python -m tests.benchmarks.evaluation_page build/evaluation.json

evaluate-promises: $(VENV)/.installed  ## Three promises that cross, DRAWS=10; LOGS=FOLDER for a real log; result in docs/evaluation.
	@mkdir -p build
	@$(BIN)/python -m tests.benchmarks.promises build/promises.json $(DRAWS) $(LOGS)

bench-simulate: $(VENV)/.installed  ## How fast the simulator is; LOG=FILE REGIONAL=FILE CAPACITY=N for a real log.
	@$(BIN)/python -m tests.benchmarks.simulate

bench-ingest: $(VENV)/.installed slurm  ## Reading beside sacct, and cycles on large ledgers; RUNS=100000 for a quick one.
	@$(BIN)/python -m tests.benchmarks.ingest

bench-tree: $(VENV)/.installed slurm  ## A cycle and doctor on 20,000 associations; ASSOCIATIONS=2000 VERSION=22.05 for another.
	@$(BIN)/python -m tests.benchmarks.associations

bench-sizes: $(VENV)/.installed  ## How much a ledger grows a day; JOBS=100000 DAYS=1 for another site.
	@$(BIN)/python -m tests.benchmarks.sizes

bench-energy: $(VENV)/.installed  ## The time and memory of one answer about energy; RUNS=1000000.
	@$(BIN)/python -m tests.benchmarks.energy

bench-scale: $(VENV)/.installed  ## What a ledger costs as it grows, MILLIONS=1,10 of runs, FREE=15 GB kept free; result in docs/evaluation.
	@mkdir -p build
	@MILLIONS=$(MILLIONS) FREE=$(FREE) $(BIN)/python -m tests.benchmarks.scale build/scale.json
	@$(BIN)/python -m tests.benchmarks.scale_page build/scale.json

bench-scrape: $(VENV)/.installed  ## What a scrape costs while a backfill runs; SECONDS=60 for longer.
	@$(BIN)/python -m tests.benchmarks.scrape

docs: $(VENV)/.installed  ## The docs as a site, in build/site.
	$(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.installed  ## The same on http://127.0.0.1:8000, made again as they change.
	$(BIN)/mkdocs serve --strict

examples: $(VENV)/.installed  ## Make docs/examples again: a report of a facility that does not exist.
	@$(BIN)/python -m tests.report.examples

pictures: $(VENV)/.installed seen  ## Make docs/pictures again: the status page, and the share under two policies.
	@$(BIN)/python -m tests.pictures

bench-sources: $(VENV)/.installed slurm-roots  ## What each source of finished runs costs, on each version; RUNS=1000 for a quick one.
	@$(BIN)/python -m tests.benchmarks.sources

clean:  ## Remove the environment and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
