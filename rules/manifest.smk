"""The index in; one row a synthetic image out, for one augmentation and one seed."""


rule manifest:
    input:
        index="{root}/index.parquet",
    output:
        manifest="{root}/augmentations/{augmentation}/seed{seed}.parquet",
    log:
        "{root}/logs/manifest/{augmentation}-seed{seed}.log",
    benchmark:
        "{root}/benchmarks/manifest/{augmentation}-seed{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        source=sources("augment", "files", script="manifest.py"),
        policy=lambda wildcards: STUDY.augmentations[wildcards.augmentation].model_dump(),
    message:
        "Draw the synthetic images of augmentation {wildcards.augmentation}, seed {wildcards.seed}."
    script:
        "../scripts/manifest.py"
