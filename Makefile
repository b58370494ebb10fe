# Every target sets itself up: a virtual environment in .venv, made again only when what it was made from has changed.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
BIN := .venv/bin
# The name carries the folder: an environment that was moved or copied points to the wrong place.
INSTALLED := .venv/installed-$(shell printf %s '$(CURDIR)' | cksum | cut -d ' ' -f 1)

# Tests and benchmarks start hundreds of interpreters, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint reference docs bench bench-check faults clean

help:  ## show this
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

demo: $(INSTALLED)  ## a device, a receiver, a live stream and an archive, in half a minute (the first time a good minute)
	@PATH="$(CURDIR)/$(BIN):$$PATH" tools/demo.sh

# Watched by coverage everything takes twice as long, so only the codecs are, by their own tests, which must reach all.
test: $(INSTALLED)  ## all tests, and whether those of the codecs reach every line of them; under three minutes on two cores
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -q -n 4 --dist worksteal --ignore=tests/protocols --ignore=rawdaq/protocols
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --cov=rawdaq/protocols --cov-report= tests/protocols rawdaq/protocols
	$(BIN)/python -m coverage report --skip-covered --fail-under=100

coverage: $(INSTALLED)  ## how much of all code the tests reach, in six minutes
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -q -n 4 --dist worksteal --hypothesis-profile=thorough --cov --cov-report=
	$(BIN)/python -m coverage report --skip-covered --fail-under=95

lint: $(INSTALLED)  ## style, types and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

reference: $(INSTALLED)  ## write docs/reference anew, from the docstrings
	@$(BIN)/python tools/reference.py

docs: $(INSTALLED)  ## the documentation as web pages, in build/docs; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo 'open build/docs/index.html, or for its search: python3 -m http.server -d build/docs'

bench: $(INSTALLED)  ## what it costs, in a quarter of an hour: tables, and benchmarks/results.json; BENCH=--help has more
	@$(BIN)/python -m benchmarks $(BENCH)

bench-check: $(INSTALLED)  ## fails when something costs more than benchmarks/limits.json allows
	@$(BIN)/python -m benchmarks --check $(BENCH)

faults: $(INSTALLED)  ## kills, cuts and full disks while a component journals, a quarter of an hour; FAULTS=--help has more
	@$(BIN)/python -m faults $(FAULTS)

clean:  ## remove everything that these targets made
	rm -rf .venv build dist demo .coverage .coverage.* .hypothesis .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache *.egg-info benchmarks/results.json rawdaq/native/*.so

$(INSTALLED): setup.cfg setup.py pyproject.toml $(wildcard rawdaq/native/*.c)
	@test -n '$(PYTHON)' || { echo 'rawdaq needs Python 3.11 or later; name it: make PYTHON=/path/to/python' >&2; exit 1; }
	@test -e $@ || rm -rf .venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'setting up .venv (once; a minute or two)'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -c 'import rawdaq.native.steim2' 2>/dev/null || \
		echo 'a compiled part is missing, which the tests need: install gcc and python3-dev, then: make clean' >&2
	@touch $@
