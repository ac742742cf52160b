#!/bin/bash
# Make the environment of `make test-slurm`: all of a base environment, and beside it Snakemake's Slurm plugin.
#   setup.sh .venv .venv-slurm
# The base environment stays as it is: an installed plugin would ask Slurm's controller at every start.
set -euo pipefail

base=$(realpath "$1")
extra=$2
lock=$(dirname "$0")/../../requirements-slurm.lock

[ -x "$base/bin/python" ] || { echo "No environment at $base; make it first." >&2; exit 1; }
[ -x "$extra/bin/python" ] || "$base/bin/python" -m venv "$extra"

# A .pth file lets the extra environment see the packages of the base; pip then adds only what is missing.
site='import sysconfig; print(sysconfig.get_path("purelib"))'
"$base/bin/python" -c "$site" > "$("$extra/bin/python" -c "$site")/base.pth"
"$extra/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"

# Both locks must name the same versions: a package of the base, installed once more, would be a second truth.
added=$("$extra/bin/python" -m pip list --path "$("$extra/bin/python" -c "$site")" --format freeze \
    | cut -d= -f1 | grep -vxE 'pip|setuptools|wheel|snakemake-executor-plugin-slurm(-jobstep)?' || true)
[ -z "$added" ] || { echo "requirements-slurm.lock disagrees with $base on:" $added >&2; exit 1; }
