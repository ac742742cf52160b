"""Train one strategy, fold and seed."""

from pathlib import Path

from stratagem import device
from stratagem.job import require_threads, running
from stratagem.study import Recipe

with running(snakemake):
    recipe = Recipe(**snakemake.params.recipe)
    require_threads(snakemake.threads, recipe.threads)
    kind = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
    lock = device.take(kind)
    from stratagem.run import Inputs, train  # imports torch: after the device is chosen

    folder = Path(snakemake.output.model).parent
    record = {"source": snakemake.params.source, "lineage": snakemake.params.lineage}
    train(recipe, Inputs.read(snakemake.input), kind, record, folder)
