"""Test one run on images at their own size."""

from pathlib import Path

from stratagem import device
from stratagem.job import require_threads, running
from stratagem.study import Recipe

with running(snakemake):
    recipe = Recipe(**snakemake.params.recipe)
    require_threads(snakemake.threads, recipe.threads)
    kind = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
    lock = device.take(kind)
    from stratagem.evaluation import evaluate  # imports torch: after the device is chosen
    from stratagem.run import Inputs

    folder = Path(snakemake.output.evaluation).parent
    evaluate(recipe, Inputs.read(snakemake.input), snakemake.input.model, kind, folder)
