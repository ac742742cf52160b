"""List where every sample of a resolution is."""

from stratagem.core.job import log, running
from stratagem.loading.shards import catalogue, write_catalogue

with running(snakemake):
    table = catalogue(snakemake.input.shards)
    log.info("%d samples", len(table))
    write_catalogue(table, snakemake.output.shards)
