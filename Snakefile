"""Which training strategy makes a U-Net better on your images: from raw images to a comparison report.

snakemake --cores 8 --resources gpu=1                       the study in config.yaml
snakemake --cores 8 --configfile studies/dsb2018.yaml       exactly that study
snakemake --cores 1 data audit                              pages about images and augmentations, before any training
snakemake --cores 1 tables                                  tables anew from stored evaluations
snakemake --cores 1 prefetch                                weights that the study takes from elsewhere, for nodes without internet
snakemake --cores 1 verify                                  shards against their checksums (`repair`: damaged anew)
"""

from snakemake.utils import min_version

min_version("9.27")


# A study file given on the command line is the whole study: Snakemake would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"


localrules:
    all,
    prefetch,


rule all:
    """The study, to its report."""
    default_target: True
    input:
        targets(),


rule prefetch:
    """Fetch the weights that the study takes from the net, for nodes without internet."""
    input:
        [f"{RESULTS}/sources/{source}/model.safetensors" for source in FETCHED],


include: "rules/demo.smk"
include: "rules/index.smk"
include: "rules/data.smk"
include: "rules/plan.smk"
include: "rules/shard.smk"
include: "rules/manifest.smk"
include: "rules/split.smk"
include: "rules/audit.smk"
include: "rules/roundtrip.smk"
include: "rules/pretrain.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/compare.smk"
include: "rules/report.smk"
include: "rules/end.smk"
