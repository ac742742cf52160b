"""Train one strategy, fold and seed."""

from pathlib import Path

from stratagem.core import device
from stratagem.core.job import running
from stratagem.core.provenance import sources
from stratagem.study.declaration import Delivery, Recipe

with running(snakemake):
    recipe = Recipe(**snakemake.params.recipe)
    delivery = Delivery.granted(snakemake.resources)
    kind, lock = device.granted(snakemake, recipe.threads)
    from stratagem.runs.inputs import Inputs  # imports torch: after the device is chosen
    from stratagem.runs.train import train

    folder = Path(snakemake.output.model).parent
    origin = {"source": sources("runs.train", script="train.py"), "lineage": snakemake.params.lineage}
    every_s = snakemake.resources.record_s
    train(recipe, Inputs.read(snakemake.input), kind, delivery, origin, folder, every_s)
