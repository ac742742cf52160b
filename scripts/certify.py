"""Simulate studies of this one's size and scatter, and say how often the comparison errs on them."""

import sys
from pathlib import Path

from stratagem.comparison.design import Design
from stratagem.comparison.tables import certify, usable, write_tables
from stratagem.core.errors import DataError
from stratagem.core.job import running
from stratagem.study.stored import Expected, told_of

with running(snakemake):
    params, results = snakemake.params, Path(snakemake.params.results)
    expected = [Expected.from_record(record) for record in params.expected]
    try:
        found, left_out = usable({run.folder: run.recipe["name"] for run in expected})
    except DataError:  # nothing has run yet
        found, left_out = [], []
    for fault in told_of(expected, found, left_out, params.source):
        print(fault, file=sys.stderr)
    design = Design(**params.design).without(left_out)
    table = certify(found, results / "index.parquet", design, params.shape)
    write_tables({"certified": table}, Path(params.folder))
    told = "Nothing to simulate: no strategy is compared, or one seed or unit gives no interval."
    print(told if table.empty else table.to_string(index=False), file=sys.stderr)
    print(f"Table: {params.folder}/certified.csv", file=sys.stderr)
