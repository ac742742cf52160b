"""List where every sample of a resolution is."""

from stratagem.files import write_table
from stratagem.job import log, running
from stratagem.shard import catalogue

with running(snakemake):
    table = catalogue(snakemake.input.shards)
    log.info("%d samples", len(table))
    write_table(table, snakemake.output.shards)
