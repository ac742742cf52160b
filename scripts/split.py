"""Divide the samples into training, validation and test images."""

from stratagem.core.files import write_table
from stratagem.core.job import log, running
from stratagem.data.rows import load
from stratagem.data.split import divide

with running(snakemake):
    params = snakemake.params
    splits = divide(
        load(snakemake.input.index),
        folds=params.folds,
        test=params.test,
        validation=params.validation,
        seed=params.seed,
    )
    log.info("%s", splits.groupby(["fold", "part"]).size().to_dict())
    write_table(splits, snakemake.output.splits)
