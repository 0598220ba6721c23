# Everything happens in .venv; `make setup` makes it from the lock and is repeated only when the lock changes.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: setup demo test goldens test-vllm lint up bench lock client

setup: $(VENV)/.made

$(VENV)/.made: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: setup
	$(BIN)/esrp demo

up: setup
	$(BIN)/esrp up

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 2

# After a change that is wanted of what tests/goldens holds: written anew, and played once more to see that it stays.
goldens: setup
	ESRP_WRITE_GOLDENS=1 $(BIN)/pytest tests/goldens
	$(BIN)/pytest tests/goldens

# The LoRA judge on vLLM itself, in an environment of its own under the user's cache folder: 2.5 GB, made once.
test-vllm: setup
	$(BIN)/python -m tests.vllm

bench: setup
	$(BIN)/python -m benchmarks.pipeline

# After a change of esrp/client/concurrent.py or concurrent_line.py: the client that waits is made of them.
client: setup
	$(BIN)/python -m tests.client.generate

# After a change of the dependencies in pyproject.toml.
lock: setup
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --extra stack --group dev --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock
