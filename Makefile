# Each target works alone on a fresh machine with Python 3.11, pip and make.
#
#   make install   rstime into .venv; the command is .venv/bin/rstime
#   make demo      simulate an ICU ward, fit, impute, denoise, forecast; pictures in demo-out/
#   make test      all tests (real data: RSTIME_DATA=DIR, or ../shared/data where it exists)
#   make check     format, lint, types
#   make peers     PyPOTS in an environment of its own, .venv-peers, for saits, brits and csdi of rstime evaluate
#   make bench     the benchmark figures, on validation windows (hours); one alone: make bench BENCH=etth1-noisy
#
# Without an NVIDIA GPU, TORCH_INDEX=URL of PyTorch's index of CPU builds saves gigabytes of CUDA libraries.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
BENCH ?= etth1-noisy etth1-clean physionet-noisy gaussian mixture support covariate speed
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet -c constraints.txt
PIP := $(BIN)/python $(PIP_INSTALL)
TORCH_FLAGS := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test check bench peers clean

help:
	@sed -n 's/^#   //p' Makefile

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "== install: environment in $(VENV), with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rstime needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "== install: PyTorch (the large one, some minutes on a slow line)"
	@$(PIP) $(TORCH_FLAGS) torch
	@echo "== install: rstime and what it needs"
	@$(PIP) --editable .
	@touch $@
	@echo "== install: done; the command is $(BIN)/rstime"

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "== install: tools for tests and checks"
	@$(PIP) --editable ".[dev]"
	@touch $@

demo: install
	@echo "== demo: simulate a ward, fit, impute, denoise, forecast; pictures go to demo-out/"
	@$(BIN)/rstime demo --out demo-out

test: install-dev
	@echo "== test: pytest"
	@$(BIN)/python -m pytest

check: install-dev
	@echo "== check: format"
	@$(BIN)/ruff format --check .
	@echo "== check: lint"
	@$(BIN)/ruff check .
	@echo "== check: types"
	@$(BIN)/mypy

bench: install-dev
	@for name in $(BENCH); do \
		echo "== bench: $$name"; \
		$(BIN)/python -m rstime.evaluation.core $$name || exit 1; \
	done

peers: .venv-peers/.installed

.venv-peers/.installed: constraints.txt
	@echo "== peers: PyPOTS in .venv-peers, with $(PYTHON)"
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python $(PIP_INSTALL) $(TORCH_FLAGS) torch
	@.venv-peers/bin/python $(PIP_INSTALL) pypots==1.5
	@.venv-peers/bin/python -c 'from pypots.imputation import BRITS, CSDI, SAITS' > .venv-peers/import.log 2>&1 || \
		{ tail -n 3 .venv-peers/import.log; exit 1; }
	@touch $@
	@echo "== peers: done; rstime evaluate finds it in this folder, or by RSTIME_PEERS=$(CURDIR)/.venv-peers/bin/python"

clean:
	rm -rf $(VENV) .venv-peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
