"""Write one shard."""

import json
from pathlib import Path

import pandas as pd

from stratagem.core.job import log, running
from stratagem.loading.shards import members, write_shard
from stratagem.resolution.plans import Plan

with running(snakemake):
    params = snakemake.params
    index = pd.read_parquet(snakemake.input.index)
    mine = members(index, int(snakemake.wildcards.shard), params.shards)
    log.info("%d samples", len(mine))
    plan = Plan.from_record(json.loads(Path(snakemake.input.plan).read_text()))
    write_shard(snakemake.output.shard, mine, plan, params.classes, snakemake.resources.compression)
