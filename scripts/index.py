"""Index a data set: every sample found, read, checked, measured."""

from stratagem.files import write_table
from stratagem.job import log, running
from stratagem.sample import build_index, require_good

with running(snakemake):
    inputs, params = snakemake.input, snakemake.params
    index = build_index(inputs.images, inputs.masks, len(params.classes), params.labels, params.group)
    log.info("%d good samples, %d bad files", len(index.table), len(index.problems))
    write_table(index.problems, snakemake.log.problems)
    require_good(index, params.classes, params.bad_samples, snakemake.log.problems)
    write_table(index.table, snakemake.output.index)
