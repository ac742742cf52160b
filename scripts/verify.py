"""Compare every sample of every shard with its checksum."""

from stratagem.core.job import running
from stratagem.loading.shards import require_whole

with running(snakemake):
    require_whole(snakemake.input.shards)
