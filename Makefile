# Everything that a person or a machine does with the project. `make help` lists it.
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

unexport PYTHONDONTWRITEBYTECODE  # else each of the thousand processes of the tests compiles the package, and pytest's plug-ins, anew

.PHONY: help setup demo test test-adapters check prove bench deep lock clean

help:            ## what there is
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' Makefile | expand -t 16

setup:           ## make .venv, find or start a container engine, build the default image; only what is missing
	@scripts/setup

demo: setup      ## the whole promise on real input: proofs, refuted mistakes, a hostile agent, the balance
	@$(BIN)/python scripts/demo.py

test: setup      ## every test, with branch coverage of the package
	$(PYTEST) -n auto --dist loadgroup --cov --cov-report=term

test-adapters: setup  ## every adapter against its framework, each in an environment of its own
	$(PYTEST) -n auto tests/conformance/test_adapters.py
	$(PYTEST) -n auto -m adapters

check: setup     ## ruff, mypy strict, and the import table
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q tests/unit/test_architecture.py

prove: setup     ## every property proved, every mistake refuted
	$(BIN)/sandbox prove --locked
	@$(BIN)/python scripts/refute.py

bench: setup     ## the figures, as ratios within one run
	@$(BIN)/python benchmarks/run.py

deep: setup      ## what takes longer than CI may: the same tests with many more examples
	$(PYTEST) -n auto --dist loadgroup --hypothesis-profile=deep
	$(BIN)/sandbox prove --no-cache --solver both --timeout 600

lock: setup      ## resolve pyproject.toml anew into requirements.lock
	scripts/lock

clean:           ## remove what was made here; the engine and its images stay
	rm -rf .venv .setup .coverage .coverage.* .hypothesis .mypy_cache .ruff_cache .pytest_cache dist build
	find . -name __pycache__ -prune -exec rm -rf {} +
