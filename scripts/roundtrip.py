"""Take every true mask through one resolution plan and back."""

import json
from pathlib import Path

from stratagem.core.files import write_table
from stratagem.core.job import log, running
from stratagem.data.rows import load
from stratagem.evaluation.roundtrip import round_trips
from stratagem.resolution.plans import Plan

with running(snakemake):
    index = load(snakemake.input.index)
    plan = Plan.from_record(json.loads(Path(snakemake.input.plan).read_text()))
    counts = round_trips(index, plan, snakemake.params.classes)
    log.info("%d samples", len(index))
    write_table(counts, snakemake.output.counts)
