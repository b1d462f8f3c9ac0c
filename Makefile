# One environment, made once; `make demo` and `make test` make it if it is not there.
EXTRA ?= cpu
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(EXTRA)

# uv does not read pip's settings: hand it pip's folders of wheels, and elsewhere name PyTorch's CPU builds.
FIND_LINKS := $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
ifeq ($(EXTRA),cpu)
TORCH := $(if $(FIND_LINKS),,--torch-backend=cpu)
else
TORCH := --torch-backend=auto
endif

# A worker a core; tests that share something costly, such as the real engine, stay with one worker.
PARALLEL := -n logical --maxprocesses 8 --dist loadgroup

# Compiled files are kept whatever the shell says: without them each process compiles torch and vLLM anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo values test test-all check bench clean
.DEFAULT_GOAL := setup

setup: $(READY)  ## the environment; EXTRA=gpu on a machine with a GPU

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"
	UV_FIND_LINKS="$(FIND_LINKS)" $(BIN)/uv pip install --quiet --python $(BIN)/python $(TORCH) -e '.[$(EXTRA),dev]'
	touch $@

demo: $(READY)  ## the whole road on examples/demo.yaml
	$(BIN)/specmill run examples/demo.yaml

test: $(READY)  ## the tests, but for the long ones
	$(BIN)/pytest $(PARALLEL) -m "not slow"

test-all: $(READY)  ## every test
	$(BIN)/pytest $(PARALLEL)

values: $(READY)  ## the miniature of the paper's Figure 2: 100 minutes on two cores
	$(BIN)/specmill run examples/values/lasting.yaml --until mix
	$(BIN)/specmill run examples/values/sharing.yaml --until mix
	$(BIN)/specmill import examples/values/values.yaml examples/values/chats.jsonl --as preferences
	$(BIN)/specmill run examples/values/values.yaml
	$(BIN)/python examples/values/figure.py examples/values/values.yaml docs/values.svg

check: $(READY)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)  ## the figures of docs/benchmarks.md, in three hours or so (estimated); peers get environments of their own
	$(BIN)/python benchmarks/help_time.py
	$(BIN)/python benchmarks/engine_speed.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/crashes.py
	$(BIN)/python benchmarks/paper_shape.py
	$(BIN)/python benchmarks/diversity.py .benchmarks/diversity
	$(BIN)/python benchmarks/dedup.py signatures --documents 100000
	$(BIN)/python benchmarks/dedup.py whole --documents 100000
	$(BIN)/python benchmarks/dedup.py growth
	$(BIN)/python benchmarks/web_rules.py
	$(BIN)/python benchmarks/sql_speed.py
	$(BIN)/python benchmarks/sql_speed.py --many-parts
	$(BIN)/python benchmarks/move_threshold.py
	$(BIN)/python benchmarks/planted_faults.py .benchmarks/planted
	$(BIN)/python benchmarks/demo_steps.py
	$(BIN)/python benchmarks/train_speed.py
	$(BIN)/python benchmarks/train_speed.py --full
	$(BIN)/python benchmarks/train_growth.py rows
	$(BIN)/python benchmarks/train_growth.py plan
	$(BIN)/python benchmarks/eval_speed.py

clean:  ## the environment and what the tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
