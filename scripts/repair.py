"""Make every shard anew that is damaged, or packed otherwise than the study says."""

import json
from pathlib import Path

from stratagem.core.job import running
from stratagem.data.rows import load
from stratagem.loading.shards import repair
from stratagem.resolution.plans import Plan

with running(snakemake):
    params, compression = snakemake.params, snakemake.resources.compression
    for path in map(Path, snakemake.input.shards):
        root = path.parents[2]
        index = load(root / "index.parquet")
        plan = Plan.from_record(json.loads(path.with_name("plan.json").read_text()))
        repair(path, index, plan, params.classes[str(root)], params.shards, compression)
