# make demo    the embedded demo, from nothing to results/demo/report/report.html
# make test    every check and test
# make test-kill    training and pretraining, killed at 20 points each (some minutes)
# make test-slurm   the workflow on a real Slurm of one node (as root, on Debian; some minutes)
# make clean   remove the demo, its data and its results (nothing of yours)
# make lock    requirements*.in to requirements*.lock and envs/ (for maintainers; needs uv)
#
# PYTHON=python3.12          which Python makes .venv (3.11 or newer)
# CORES=4                    how many the demo may use
# CPU=1 TORCH_INDEX=ADDRESS  torch without CUDA, from an index of CPU builds (pytorch.org, "Get started", names it)

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet
READY := .venv/ready
DEV_READY := .venv/ready-dev
SLURM_READY := .venv-slurm/ready
LOCK := $(if $(CPU),requirements-cpu.lock,requirements.lock)
TORCH := $(shell grep -oE '^torch(vision)?==[0-9.]+' requirements.lock)

.PHONY: demo test test-kill test-slurm lint lock clean

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES)
	@echo "Open results/demo/report/report.html"

test: lint
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest --numprocesses 2 --dist loadgroup -rs

test-kill: $(READY)
	$(BIN)/python benchmarks/kill.py

test-slurm: $(SLURM_READY)
	.venv-slurm/bin/python -m pytest -rs tests/slurm

$(SLURM_READY): $(DEV_READY) requirements-slurm.lock tests/slurm/setup.sh
	bash tests/slurm/setup.sh .venv .venv-slurm
	@touch $@

lint: $(DEV_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	PYTHONPATH=scripts $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

$(READY): $(LOCK)
	@test -z "$(CPU)" || test -n "$(TORCH_INDEX)" || { echo "CPU=1: say TORCH_INDEX=ADDRESS too, an index of" \
	  "CPU builds of torch; pytorch.org names it under 'Get started', CPU."; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes --requirement $(LOCK)
	$(if $(CPU),PIP_INDEX_URL=$(TORCH_INDEX) $(PIP) --no-deps $(TORCH))
	@touch $(READY)

$(DEV_READY): $(READY) requirements-dev.lock
	$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $(DEV_READY)

COMPILE := uv pip compile --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header --quiet

lock:
	$(COMPILE) requirements.in --output-file requirements.lock
	$(COMPILE) requirements-dev.in --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) requirements-slurm.in --constraint requirements.lock --output-file requirements-slurm.lock
	$(PYTHON) envs/from_lock.py

clean:
	rm -rf results/demo data/demo
