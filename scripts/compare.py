"""Compare the strategies from their stored evaluations."""

from pathlib import Path

from stratagem.comparison.design import Design
from stratagem.comparison.tables import Stored, make_tables, write_tables
from stratagem.core.job import log, running

with running(snakemake):
    inputs, params = snakemake.input, snakemake.params
    stored = Stored(
        folders=[Path(path).parent for path in inputs.costs],
        index=Path(inputs.index),
        pretraining={strategy: Path(path) for strategy, path in params.pretraining.items()},
        round_trips={strategy: Path(path) for strategy, path in params.round_trips.items()},
        precedent=Path(params.precedent),
    )
    tables = make_tables(stored, Design(**params.design))
    write_tables(tables, Path(snakemake.output.tables[0]).parent)
    log.info("\n%s", tables["comparison"].to_string())
