"""List where every sample of a resolution is, and compare each with its checksum."""

from pathlib import Path

from stratagem.files import write_table
from stratagem.job import log, running
from stratagem.shard import Shards, catalogue

with running(snakemake):
    table = catalogue(snakemake.input.shards)
    Shards(Path(snakemake.output.shards).parent, table).verify()
    log.info("%d samples", len(table))
    write_table(table, snakemake.output.shards)
