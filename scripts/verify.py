"""Compare every sample of every shard with its checksum."""

from stratagem.job import running
from stratagem.shard import require_whole

with running(snakemake):
    require_whole(snakemake.input.shards)
