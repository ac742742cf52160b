"""Draw the synthetic images of one augmentation and seed."""

import pandas as pd

from stratagem.augment import Policy, draw
from stratagem.files import write_table
from stratagem.job import log, running

with running(snakemake):
    samples = pd.read_parquet(snakemake.input.index, columns=["sample"])["sample"].tolist()
    manifest = draw(Policy(**snakemake.params.policy), int(snakemake.wildcards.seed), samples)
    log.info("%d synthetic images of %d samples", len(manifest), len(samples))
    write_table(manifest, snakemake.output.manifest)
