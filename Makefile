# `make run` and `make test` set themselves up; they need Python 3.11 or later and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NIGHTLY := $(VENV)/.nightly
PEERS := build/peers
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# uv takes a quarter of the time. Where it has no build, or finds no index because only pip was told of one, pip installs.
INSTALL = { $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[$(1)]' \
  || $(PIP) --editable '.[$(1)]'; }
# One file of tests stays in one process: some of them count what happens in all of it.
TESTS := $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: run test bytecode coverage test-all nightly check checks generate docs format bench kill-test chaos chaos-postgres verify-all mutate clean

run: $(READY)
	$(BIN)/opslifecycle run examples/batch.yaml

# mypy is among the tests, because they run side by side.
test: checks bytecode
	$(TESTS)

# Which lines and branches the tests run, processes that they start included.
coverage: $(READY) bytecode
	$(TESTS) --cov --cov-report=term --cov-report=html:build/coverage

# On every one of Python 3.11 to 3.13 that is found; says which were not.
test-all: checks bytecode
	$(BIN)/python -m tests.support.interpreters

# Every test with nothing left out; ten minutes of random machines, with another seed each time; an
# interrupt before every bytecode of every public call.
nightly: bytecode $(NIGHTLY)
	OPSLIFECYCLE_TESTS=whole $(TESTS) -m ''
	$(BIN)/python -m tests.support.random_machines.nightly
	$(BIN)/python -m tests.support.interrupts.nightly

# Tests start hundreds of processes, and each of them would compile the project's modules anew.
bytecode: $(READY)
	$(BIN)/python -m compileall -q src codegen

test test-all coverage nightly: export PYTHONDONTWRITEBYTECODE =

check: checks
	$(BIN)/mypy

checks: $(READY)
	$(BIN)/opslifecycle-codegen check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

generate: $(READY)
	$(BIN)/opslifecycle-codegen generate
	$(BIN)/python -m opslifecycle_codegen.emit.reference docs/reference
	$(BIN)/python -m docs.command_pages docs/reference

docs: $(NIGHTLY)
	$(BIN)/python -m sphinx -W -q docs build/docs

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) $(PEERS)/.ready
	$(BIN)/python -m benchmarks --page --peers $(PEERS)/bin/python
	$(BIN)/python -m benchmarks.sizing

$(PEERS)/.ready: benchmarks/peers.txt
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'make: Python 3.11 or later is needed; say which one: make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo 'make: this Python has no venv; install it (Debian, Ubuntu: apt-get install python3-venv)'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) uv || true
	$(call INSTALL,dev)
	@touch $@

# The builder of the documentation and another type checker, which are half of an installation.
$(NIGHTLY): $(READY)
	$(call INSTALL,nightly)
	@touch $@

verify-all: $(READY)
	$(BIN)/python -m tests.support.proof.assurance

mutate: $(READY)
	$(BIN)/python -m tests.support.proof.mutation
	$(BIN)/python -m tests.support.proof.artifact_mutants
	$(BIN)/python -m tests.support.proof.code_mutants

kill-test: $(READY)
	$(BIN)/python -m tests.support.kill_test

# Ten minutes of real faults on running programs, with another seed each time; keeps what was wrong.
chaos: $(READY)
	$(BIN)/python -m tests.support.chaos

# Ten minutes of real faults on a PostgreSQL server and its hosts, owners first and then a cluster, with a printed seed.
chaos-postgres: $(READY)
	$(BIN)/python -m tests.support.postgres

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
