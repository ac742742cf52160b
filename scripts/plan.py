"""Fit a resolution plan on the sizes of a data set."""

from stratagem.core.files import read_table, write_json
from stratagem.core.job import log, running
from stratagem.resolution.plans import fit_plan

with running(snakemake):
    index = read_table(snakemake.input.index, columns=["height", "width", "pixel_size"])
    plan = fit_plan(
        sizes=index[["height", "width"]].to_numpy(),
        stride=snakemake.params.stride,
        pixel_sizes=index["pixel_size"].to_numpy(),
        **snakemake.params.options,
    )
    log.info("%s", plan)
    write_json(plan.as_record(), snakemake.output.plan)
