# Everything a newcomer needs: python3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The broker code in which `make mutation` plants bugs; FILES=engine/barograph/execution/money.py takes one file.
FILES := $(addprefix engine/barograph/execution/,money.py grid.py targets/light.py targets/costs.py targets/room.py touch.py auction.py intrabar.py resting.py placing.py guards.py clauses.py prices.py sizes.py)

# What the extras add lies in an environment of its own, over the first one: the same versions of all they share.
# torch alone is in no lock: its build without a graphics card, all that is wanted, lies elsewhere than other packages on most
# machines, and PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS says where.
EXTRAS := .venv-extras
WITH_EXTRAS := $(EXTRAS)/bin/python

.PHONY: demo test lint types imports wheel-test extras-test soak extras-soak mutation bench bench-peers lock clean

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(EXTRAS)/ready: requirements-extras.lock $(VENV)/ready
	$(PYTHON) -m venv --clear --without-pip $(EXTRAS)
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
		> $$($(WITH_EXTRAS) -c "import site; print(site.getsitepackages()[0])")/lean.pth
	$(BIN)/pip --python $(WITH_EXTRAS) install --quiet --no-compile --disable-pip-version-check --require-hashes \
		-r requirements-extras.lock
	$(BIN)/pip --python $(WITH_EXTRAS) install --quiet --no-compile --disable-pip-version-check \
		$$(grep -o 'torch==[0-9.]*' pyproject.toml)
	touch $@

demo: $(VENV)/ready
	$(BIN)/barograph compare configs/buy_and_hold.toml configs/regime_filter.toml configs/regime_leverage.toml \
		configs/var_target.toml configs/volatility_target.toml

test: $(VENV)/ready
	$(BIN)/pytest -n auto --dist worksteal

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

imports: $(VENV)/ready
	$(BIN)/lint-imports

wheel-test: $(VENV)/ready
	sh tests/wheel.sh $(BIN)/python

# What wants vectorbt, distributed, optuna or torch; `make test` skips it.
extras-test: $(EXTRAS)/ready
	$(WITH_EXTRAS) -m pytest -n 2 --dist loadfile tests/extras

extras-soak: $(EXTRAS)/ready
	$(WITH_EXTRAS) -m tests.campaigns.cluster --workers 20 --sweeps 20

# Other random runs every time, and many.
soak: $(VENV)/ready extras-soak
	$(BIN)/pytest -n auto --hypothesis-profile=soak tests/test_laws.py tests/test_oracle.py tests/test_parity.py
	$(BIN)/pytest -n auto --long -m long
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.crashes --kills 500 --store sqlite
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.crashes --kills 200 --store postgresql
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.crashes --kills 100 --store sqlite --bars 400 --choose
	$(BIN)/python -m tests.campaigns.torn_migrations --kills 150 --store sqlite
	$(BIN)/python -m tests.campaigns.torn_migrations --kills 150 --store postgresql
	$(BIN)/python -m tests.campaigns.sessions --years 20
	$(BIN)/python -m tests.campaigns.outages --runs 20
	$(BIN)/python -m tests.campaigns.turnings --runs 20
	$(BIN)/python -m tests.campaigns.cycles --cycles 10000
	$(BIN)/python -m tests.campaigns.processors
	$(BIN)/python -m tests.campaigns.closes
	$(BIN)/python -m tests.campaigns.products --worlds 200 --seed 2
	$(BIN)/python -m tests.campaigns.reading --runs 100000
	$(BIN)/python -m tests.campaigns.times --columns 100000
	$(BIN)/python -m tests.campaigns.shapes --files 100000
	$(BIN)/python -m tests.campaigns.gate --errors 1000
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.guards --windows 400
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.exdates --worlds 1000
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.calibration

mutation: $(VENV)/ready
	sh tests/mutation.sh $(BIN)/python $(FILES)

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks

# The peers' pins conflict with ours, so they and a second copy of us live in their own environment.
bench-peers:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements-peers.txt -e ".[sample]"
	.venv-peers/bin/python -m benchmarks

LOCKED := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# The extras' lock keeps to the versions of the first, which `make demo` and `make test` install, and stays apart from it.
lock: $(VENV)/ready
	$(LOCKED) --extra sample --extra live --extra postgres --extra dev pyproject.toml -o requirements.lock
	$(LOCKED) --extra vectorbt --extra dask --extra optuna --extra excel --extra classifiers --extra smote --group extras-test -c requirements.lock pyproject.toml \
		-o requirements-extras.lock

clean:
	rm -rf $(VENV) $(EXTRAS) runs dist
