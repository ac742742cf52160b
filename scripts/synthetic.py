"""Make one synthetic image from its manifest row."""

from stratagem.core.job import running
from stratagem.runs.inputs import Inputs
from stratagem.runs.synthetic import write_synthetic
from stratagem.study.declaration import Recipe

with running(snakemake):
    recipe, inputs = Recipe(**snakemake.params.recipe), Inputs.read(snakemake.input)
    chosen, output = snakemake.wildcards, snakemake.output
    write_synthetic(
        recipe, inputs, chosen.sample, int(chosen.window), int(chosen.variant), output.image, output.mask
    )
