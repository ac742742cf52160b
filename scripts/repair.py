"""Make every shard anew that is damaged, or packed otherwise than the study says; name the runs concerned."""

import json
import sys
from pathlib import Path

from stratagem.core.job import log, running
from stratagem.data.rows import load
from stratagem.loading.shards import repair
from stratagem.resolution.plans import Plan
from stratagem.runs.unverified import set_aside, trained_unverified

with running(snakemake):
    params, compression = snakemake.params, snakemake.resources.compression
    for path in map(Path, snakemake.input.shards):
        root = path.parents[2]
        index = load(root / "index.parquet")
        plan = Plan.from_record(json.loads(path.with_name("plan.json").read_text()))
        damaged = repair(path, index, plan, params.classes[str(root)], params.shards, compression)
        for run in trained_unverified(root, path.parent.name, damaged):
            said = f"{run}: trained on damaged samples, unverified; the next call trains it again"
            log.info("%s; set aside in %s", said, set_aside(run))
            print(said, file=sys.stderr)
