"""Make one synthetic image from its manifest row."""

from stratagem.job import running
from stratagem.run import Inputs
from stratagem.study import Recipe
from stratagem.synthetic import write_synthetic

with running(snakemake):
    recipe, inputs = Recipe(**snakemake.params.recipe), Inputs.read(snakemake.input)
    chosen, output = snakemake.wildcards, snakemake.output
    write_synthetic(
        recipe, inputs, chosen.sample, int(chosen.window), int(chosen.variant), output.image, output.mask
    )
