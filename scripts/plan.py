"""Fit a resolution plan on the sizes of a data set."""

import pandas as pd

from stratagem.files import write_json
from stratagem.geometry import fit
from stratagem.job import log, running

with running(snakemake):
    params = snakemake.params
    sizes = pd.read_parquet(snakemake.input.index, columns=["height", "width"]).to_numpy()
    plan = fit(params.plan, params.size, sizes, params.stride)
    log.info("%s", plan)
    write_json(plan.as_record(), snakemake.output.plan)
