"""Make the tables anew from stored evaluations, and say which runs are missing or stale."""

import sys
from pathlib import Path

from stratagem.comparison.design import Design
from stratagem.comparison.tables import Stored, make_tables, usable, write_tables
from stratagem.core.job import running
from stratagem.study.stored import Expected, told_of

with running(snakemake):
    params, results = snakemake.params, Path(snakemake.params.results)
    expected = [Expected.from_record(record) for record in params.expected]
    found, left_out = usable({run.folder: run.recipe["name"] for run in expected})
    for fault in told_of(expected, found, left_out, params.source):
        print(fault, file=sys.stderr)
    stored = Stored(
        folders=found,
        index=results / "index.parquet",
        pretraining={name: Path(path) for name, path in params.pretraining.items() if Path(path).is_file()},
        round_trips={name: Path(path) for name, path in params.round_trips.items() if Path(path).is_file()},
        precedent=Path(params.precedent),
    )
    write_tables(make_tables(stored, Design(**params.design), left_out), Path(params.folder))
    print(f"Tables: {params.folder}", file=sys.stderr)
