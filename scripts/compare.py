"""Compare the strategies from their stored evaluations."""

from pathlib import Path

from stratagem.comparison.effects import Design
from stratagem.comparison.tables import make_tables, write_tables
from stratagem.core.job import log, running

with running(snakemake):
    inputs, params = snakemake.input, snakemake.params
    folders = [Path(path).parent for path in inputs.costs]
    pretraining = {strategy: Path(path) for strategy, path in params.pretraining.items()}
    round_trips = {strategy: Path(path) for strategy, path in params.round_trips.items()}
    tables = make_tables(folders, Path(inputs.index), pretraining, round_trips, Design(**params.design))
    write_tables(tables, Path(snakemake.output.comparison).parent)
    log.info("\n%s", tables["comparison"].to_string())
