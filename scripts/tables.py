"""Make the tables anew from stored evaluations, and say which runs are missing or stale."""

import sys
from pathlib import Path

from stratagem.comparison.effects import Design
from stratagem.comparison.tables import make_tables, usable, write_tables
from stratagem.core.job import running
from stratagem.study.stored import Expected, stale

with running(snakemake):
    params, results = snakemake.params, Path(snakemake.params.results)
    expected = [Expected.from_record(record) for record in params.expected]
    found, left_out = usable({run.folder: run.recipe["name"] for run in expected})
    for strategy in left_out:
        print(f"Left out: {strategy}: not every seed is trained and tested yet.", file=sys.stderr)
    for run in expected:
        fault = stale(run, params.source) if run.folder in found else None
        if fault:
            print(f"Stale: {run.folder}: {fault}.", file=sys.stderr)
    pretraining = {name: Path(path) for name, path in params.pretraining.items() if Path(path).is_file()}
    design = Design(**params.design).without(left_out)
    round_trips = {name: Path(path) for name, path in params.round_trips.items() if Path(path).is_file()}
    tables = make_tables(found, results / "index.parquet", pretraining, round_trips, design)
    write_tables(tables, Path(params.folder))
    print(f"Tables: {params.folder}", file=sys.stderr)
