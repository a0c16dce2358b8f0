# Everything a newcomer needs: python3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The broker code in which `make mutation` plants bugs; FILES=engine/barograph/execution/money.py takes one file.
FILES := $(addprefix engine/barograph/execution/,money.py grid.py targets/light.py targets/costs.py targets/room.py touch.py auction.py intrabar.py resting.py placing.py guards.py clauses.py prices.py sizes.py)

.PHONY: demo test lint types imports wheel-test soak mutation bench bench-peers lock clean

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(VENV)/ready
	$(BIN)/barograph compare configs/buy_and_hold.toml configs/regime_filter.toml configs/regime_leverage.toml \
		configs/var_target.toml configs/volatility_target.toml

test: $(VENV)/ready
	$(BIN)/pytest -n auto

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

imports: $(VENV)/ready
	$(BIN)/lint-imports

wheel-test: $(VENV)/ready
	sh tests/wheel.sh $(BIN)/python

# Other random runs every time, and many.
soak: $(VENV)/ready
	$(BIN)/pytest -n auto --hypothesis-profile=soak tests/test_laws.py tests/test_oracle.py tests/test_parity.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.crashes --kills 500 --store sqlite
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.crashes --kills 200 --store postgresql
	$(BIN)/python -m tests.campaigns.torn_migrations --kills 150 --store sqlite
	$(BIN)/python -m tests.campaigns.torn_migrations --kills 150 --store postgresql
	$(BIN)/python -m tests.campaigns.sessions --years 20
	$(BIN)/python -m tests.campaigns.outages --runs 20
	$(BIN)/python -m tests.campaigns.cycles --cycles 10000
	$(BIN)/python -m tests.campaigns.processors
	$(BIN)/python -m tests.campaigns.closes
	$(BIN)/python -m tests.campaigns.reading --runs 100000
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

lock: $(VENV)/ready
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--all-extras pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) runs dist
