"""Take every true mask through one resolution plan and back."""

import json
from pathlib import Path

import pandas as pd

from stratagem.files import write_table
from stratagem.geometry import Plan
from stratagem.job import log, running
from stratagem.roundtrip import round_trips

with running(snakemake):
    index = pd.read_parquet(snakemake.input.index)
    plan = Plan.from_record(json.loads(Path(snakemake.input.plan).read_text()))
    counts = round_trips(index, plan, snakemake.params.classes)
    log.info("%d samples", len(index))
    write_table(counts, snakemake.output.counts)
