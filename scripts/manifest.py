"""Draw the synthetic images of one augmentation and seed."""

from stratagem.augmentation.manifest import write_manifest
from stratagem.augmentation.transforms import Policy, require_colour
from stratagem.core.job import log, running
from stratagem.data.channels import channels_in
from stratagem.data.rows import load

with running(snakemake):
    policy = Policy.of(snakemake.params.policy)
    index = load(snakemake.input.index, ["sample"])
    require_colour(policy, channels_in(index), snakemake.wildcards.augmentation)
    write_manifest(policy, int(snakemake.wildcards.seed), index["sample"], snakemake.output.manifest)
    log.info("%d variants of %d samples", policy.variants, len(index))
