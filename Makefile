# make demo   run the main job on a rendered clip (or VIDEO=path) and leave pictures and scores in demo/
# make test   set up, then lint, types and tests
# make check  lint and types only
# make bench  the benchmarks, as ratios measured in one run

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
VIDEO ?=

.PHONY: setup demo test test-slow test-gpu check bench clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,plot]"
	touch $@

demo: setup
	$(BIN)/rotoscope demo $(if $(VIDEO),"$(VIDEO)") -o demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest

test-slow: setup
	$(BIN)/pytest -m slow

test-gpu: setup
	$(BIN)/pytest -m gpu

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache
