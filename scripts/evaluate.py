"""Test one run on images at their own size."""

import json
from pathlib import Path

from stratagem.core import device
from stratagem.core.job import running
from stratagem.study.declaration import Recipe

with running(snakemake):
    recipe = Recipe(**snakemake.params.recipe)
    kind, lock = device.granted(snakemake, recipe.threads)
    from stratagem.runs.evaluate import evaluate  # imports torch: after the device is chosen
    from stratagem.runs.inputs import Inputs

    folder = Path(snakemake.output.evaluation).parent
    exact = json.loads(Path(snakemake.input.cost).read_text(encoding="utf-8"))["retried"]
    evaluate(recipe, Inputs.read(snakemake.input), snakemake.input.model, kind, folder, exact=exact)
