# Two commands: `make demo` and `make test`. Both install what they need into .venv first, once.
PLAN ?= demo
OUT ?= out/$(PLAN)
PYTHON ?= python3
BIN := .venv/bin
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test lint install clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/tournament --plan $(PLAN) --out $(OUT)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --level error

test: install lint
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf out build dist *.egg-info .pytest_cache .ruff_cache
