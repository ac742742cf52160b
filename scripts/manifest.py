"""Draw the synthetic images of one augmentation and seed."""

import pandas as pd

from stratagem.augmentation.manifest import write_manifest
from stratagem.augmentation.transforms import Policy
from stratagem.core.job import log, running

with running(snakemake):
    policy = Policy.of(snakemake.params.policy)
    samples = pd.read_parquet(snakemake.input.index, columns=["sample"])["sample"]
    write_manifest(policy, int(snakemake.wildcards.seed), samples, snakemake.output.manifest)
    log.info("%d variants of %d samples", policy.variants, len(samples))
