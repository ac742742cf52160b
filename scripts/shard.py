"""Write one shard."""

import json
from pathlib import Path

from stratagem.core.job import log, running
from stratagem.data.rows import load
from stratagem.loading.shards import members, write_shard
from stratagem.resolution.plans import Plan

with running(snakemake):
    params = snakemake.params
    index = load(snakemake.input.index)
    mine = members(index, int(snakemake.wildcards.shard), params.shards)
    log.info("%d samples", len(mine))
    plan = Plan.from_record(json.loads(Path(snakemake.input.plan).read_text()))
    write_shard(snakemake.output.shard, mine, plan, params.classes, snakemake.resources.compression)
