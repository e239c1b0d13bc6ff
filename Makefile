# make demo   run the main job on a rendered clip (or VIDEO=path) and leave pictures and scores in demo/
# make test   set up, then lint, types and tests
# make test-avx2  a small part of the tests on no more than AVX2, as on an ordinary processor
# make check  lint and types only
# make bench  the benchmarks, as ratios measured in one run

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
VIDEO ?=
AVX2 := tests/ops/test_bfloat16.py tests/ops/test_fused.py tests/ops/test_depthwise.py tests/ops/test_winograd.py \
	tests/ops/test_winograd2d.py tests/cli/test_precision.py tests/inference/test_prepare.py \
	tests/test_contract.py::test_same_input_same_output tests/models/propose_reduce/test_golden_videos.py \
	tests/models/stm/test_session.py::test_bfloat16_stays_near_float32

.PHONY: setup demo test test-avx2 test-slow test-gpu check bench clean

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

# What depends on the processor: the probe, operators, every model once, numbers that were made on another kind.
test-avx2: setup
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(BIN)/pytest -rs $(AVX2)

test-slow: setup
	$(BIN)/pytest -m slow

test-gpu: setup
	$(BIN)/pytest -m gpu

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache
