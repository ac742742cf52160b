# make demo    the embedded demo, from nothing to results/demo/report/report.html
# make test    every check and test
# make test-kill    training and pretraining, killed at 20 points each (some minutes)
# make test-slurm   the workflow on a real Slurm of one node (as root, on Debian; some minutes)
# make clean   remove the demo, its data and its results (nothing of yours)
# make lock    requirements.in to requirements.lock and envs/ (for maintainers; needs uv)

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
READY := .venv/ready
SLURM_READY := .venv-slurm/ready

.PHONY: demo test test-kill test-slurm lint lock clean

demo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES)
	@echo "Open results/demo/report/report.html"

test: $(READY) lint
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest --numprocesses 2 --dist loadgroup

test-kill: $(READY)
	$(BIN)/python benchmarks/kill.py

test-slurm: $(SLURM_READY)
	.venv-slurm/bin/python -m pytest -rs tests/slurm

$(SLURM_READY): $(READY) requirements-slurm.lock tests/slurm/setup.sh
	bash tests/slurm/setup.sh .venv .venv-slurm
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" snakefmt --check Snakefile rules
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	PYTHONPATH=scripts $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

$(READY): requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $(READY)

lock:
	uv pip compile requirements.in --generate-hashes --universal --python-version 3.11 \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock
	uv pip compile requirements-slurm.in --constraint requirements.lock --generate-hashes --universal \
	  --python-version 3.11 --no-emit-index-url --no-header --quiet --output-file requirements-slurm.lock
	$(PYTHON) envs/from_lock.py

clean:
	rm -rf results/demo data/demo
