# Everything runs in .venv, which each target makes on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test lint docs bench gpu clean

run: $(STAMP)  ## set up and run the main job: EOE on GPT-2
	$(BIN)/evoweights run configs/eoe_gpt2.yaml

test: $(STAMP)  ## set up and run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 8

lint: $(STAMP)  ## formatting, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(STAMP)  ## build the documentation site into build/site; a warning fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

bench: $(STAMP)  ## measure the operators against their rivals
	$(BIN)/python benchmarks/operators.py

gpu: $(STAMP)  ## on a machine with a GPU: parity of all kernels, the benchmarks and training at full size
	$(BIN)/python benchmarks/gpu.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:  ## remove the environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .ruff_cache build dist
