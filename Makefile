# make demo   sets up, trains a few small agents, ingests, queries and plays them
# make test   sets up and runs every test
# make bench, make torture, make fuzz: figures, long runs; not part of the tests
# make docs   runs the commands that the documents show and writes their outputs anew
# make check  format, lint, types, import contracts, quick tests and what they cover: about a minute and a half
# make test-lowest  the quick tests with the oldest versions that pyproject.toml allows, on the oldest Python
# make test-quick  the quick tests alone; PYTHON=python3.13 VENV=.venv-3.13 runs them on another Python
# make mutate breaks 300 single places of a copy and counts how many of these no test notices: half an hour
PYTHON ?= python3
PYTHON_LOWEST ?= python3.10
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin

.PHONY: demo test test-quick test-lowest check mutate format docs bench torture fuzz clean

demo: $(VENV)/play.stamp
	$(BIN)/spindb demo demo

test: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2
	$(BIN)/pytest -n 2 --postgresql -m "not slow"

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	SPINDB_FILTERS=100 $(BIN)/pytest -q -n 2 -m "not slow" --cov --cov-report=term

test-quick: $(VENV)/dev.stamp
	$(BIN)/pytest -q -n 2 -m "not slow"

test-lowest: $(LOWEST)/test.stamp
	$(LOWEST)/bin/pytest -q -n 2 -m "not slow"

mutate: $(VENV)/dev.stamp
	$(BIN)/python bench/mutate.py

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/dev.stamp
	$(BIN)/python tests/documents.py

bench: $(VENV)/dev.stamp
	$(BIN)/python bench/versus.py --out docs/benchmarks.md
	$(BIN)/python bench/filled.py 100000 5 20 --postgresql
	$(BIN)/python bench/start.py
	$(BIN)/python bench/rescan.py
	$(BIN)/python bench/grown.py
	$(BIN)/python bench/asking.py
	$(BIN)/python bench/acting.py
	$(BIN)/python bench/piles.py

torture: $(VENV)/dev.stamp
	$(BIN)/python bench/torture.py kill 200
	$(BIN)/python bench/torture.py full 40
	$(BIN)/python bench/torture.py crowd 60
	$(BIN)/python bench/torture.py watch 300

fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python bench/fuzz.py 60

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/play.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/play.stamp

# pip always takes the newest; uv can take the oldest of what is named here. Box2D's oldest one comes without wheels.
$(LOWEST)/test.stamp: pyproject.toml
	$(PYTHON_LOWEST) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
	  --editable '.[analysis,gym,mujoco,onnx,postgresql,tensorflow,video,test]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) build dist demo .mypy_cache .ruff_cache .pytest_cache
