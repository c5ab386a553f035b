# `make` lists the commands. Each can be the first: it creates a missing .venv, and needs only Python.

# Candidates for Python, in order of preference; to choose one: make PYTHON=/path/to/python3
PYTHON ?= python3.11 python3.12 python3.13 python3.14 python3 python
# Further arguments for pytest or uv: make test ARGS='-k pets -x', make lock ARGS=--upgrade
ARGS ?=

# Some containers set this, which makes each process started by tests or `make dev` compile the package again.
unexport PYTHONDONTWRITEBYTECODE
# With this, `python -m service` would not find the package.
unexport PYTHONSAFEPATH

.PHONY: help dev test attack chaos check bench format lock clean
.DEFAULT_GOAL := help

help:
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$(printf '\033[1m') plain=$$(printf '\033[0m'); fi; \
	awk -F ':.*## ' -v bold="$$bold" -v plain="$$plain" \
		'/^[a-z]+:.*## / { printf "make %s%-7s%s %s\n", bold, $$1, plain, $$2 }' Makefile

dev: .venv/ready ## run the service with its own PostgreSQL, a demo user and automatic reload
	@exec .venv/bin/python -m service dev $(ARGS)

# One worker more than there are cores, because some tests wait.
test: .venv/ready ## run the tests, against their own PostgreSQL
	@exec .venv/bin/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal $(ARGS)

attack: .venv/ready ## attack real processes for a few minutes and print measurements
	@exec .venv/bin/python -m pytest -m attack -rA --capture=fd -n logical --dist loadfile --no-loadscope-reorder \
		$(ARGS) tests/e2e/attack

chaos: .venv/ready ## break PostgreSQL, the network and processes under load and print measurements
	@exec .venv/bin/python -m pytest -m chaos -rA --capture=fd $(ARGS) tests/e2e/chaos

check: .venv/ready ## run every linter and type check
	@exec .venv/bin/python .ci/check.py

bench: .venv/ready ## compare with other stacks and with PostgreSQL alone (ARGS=--help lists options)
	@exec .venv/bin/python -m tests.benchmarks $(ARGS)

format: .venv/ready ## format Python and SQL as `make check` requires
	@.venv/bin/ruff check --fix-only
	@.venv/bin/ruff format
	@.venv/bin/python -m sqlfluff fix --quiet sql migrations

compile = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(ARGS) pyproject.toml

lock: .venv/ready ## rewrite requirements*.txt from pyproject.toml (ARGS=--upgrade: with newer versions)
	$(compile) --output-file requirements.txt
	$(compile) --output-file requirements-traces.txt --extra traces --constraints requirements.txt
	$(compile) --output-file requirements-dev.txt --group dev --constraints requirements-traces.txt
	$(compile) --output-file tests/benchmarks/requirements.txt --group bench --constraints requirements-dev.txt

clean: ## remove .venv, caches and reports; keep the development database
	rm -rf .venv .coverage .coverage.* htmlcov .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Recreated if requirements-dev.txt is newer, or if the Python that created .venv is gone or has changed.
.venv/ready: requirements-dev.txt
	@for python in $(PYTHON); do \
		if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; \
		then exec "$$python" .ci/venv.py; fi; \
	done; \
	echo "This needs Python 3.11 to 3.14; none of these is: $(PYTHON)." \
		"Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1

ifneq ($(shell .venv/bin/python -c 'import _pytest; print("works")' 2>/dev/null),works)
.venv/ready: not-working
not-working:
endif
