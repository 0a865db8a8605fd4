# Python 3.11 and make are all it takes; everything else goes into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
export OMP_NUM_THREADS ?= 2

.PHONY: demo loop install dev test check bench up clean

demo: install        ## simulate 120 days and run the whole way, from landing files to a report
	$(BIN)/upswell demo

loop: install        ## files are dropped, the daemon does the rest: one JSON line per decision about a model
	$(BIN)/python -m orchestration.loop $(ARGS)

install: .venv/.installed  ## create .venv with the upswell command

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.dev: .venv/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

dev: .venv/.dev      ## the same with what tests and checks need

test: dev            ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

check: dev           ## lint, types, import directions, definitions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dg check defs

bench: dev           ## every figure, beside its reference
	$(BIN)/python -m benchmarks

up: install          ## UI, daemon, schedules and sensors on UPSWELL_HOME (default ./var)
	$(BIN)/upswell up

clean:               ## remove the environment; the home stays
	rm -rf .venv *.egg-info
