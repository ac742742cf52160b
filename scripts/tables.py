"""Make the tables anew from stored evaluations, and say which runs are missing or stale."""

import sys
from pathlib import Path

from stratagem.comparison import Design
from stratagem.job import running
from stratagem.tables import make, stale, stored, write

with running(snakemake):
    params, results = snakemake.params, Path(snakemake.params.results)
    folders = [Path(folder) for folder in params.runs]
    found = stored(folders)
    for folder, recipe in zip(folders, params.recipes, strict=True):
        fault = stale(folder, recipe, params.source) if folder in found else "not trained or not tested yet"
        if fault:
            print(f"Stale: {folder}: {fault}.", file=sys.stderr)
    costs = {
        strategy: results / "sources" / name / "cost.json" for strategy, name in params.source_of.items()
    }
    pretraining = {strategy: path for strategy, path in costs.items() if path.is_file()}
    write(
        make(found, results / "index.parquet", pretraining, Design(**params.design)),
        Path(params.folder),
    )
    print(f"Tables: {params.folder}", file=sys.stderr)
