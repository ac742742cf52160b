"""The index in; one row a synthetic image out; and of a row, if asked for, the image and mask themselves."""


localrules:
    synthetic,


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
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("augmentation.manifest", "data.rows", script="manifest.py"),
        policy=lambda wildcards: STUDY.augmentations[wildcards.augmentation].policy(),
    message:
        "Draw the synthetic images of augmentation {wildcards.augmentation}, seed {wildcards.seed}."
    script:
        "../scripts/manifest.py"


SYNTHETIC = f"{RESULTS}/runs/{{strategy}}/fold{{fold}}/seed{{seed}}/synthetic/{{sample}}"


rule synthetic:
    input:
        unpack(synthetic_inputs),
    output:
        image=f"{SYNTHETIC}.window{{window,[0-9]+}}.variant{{variant,[0-9]+}}.png",
        mask=f"{SYNTHETIC}.window{{window,[0-9]+}}.variant{{variant,[0-9]+}}.mask.png",
    log:
        f"{RESULTS}/logs/synthetic/{{strategy}}-fold{{fold}}-seed{{seed}}/{{sample}}.{{window}}.{{variant}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/synthetic/{{strategy}}-fold{{fold}}-seed{{seed}}/{{sample}}.{{window}}.{{variant}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("runs.synthetic", script="synthetic.py"),
        recipe=recipe,
    message:
        "Make variant {wildcards.variant} of {wildcards.sample} as {wildcards.strategy} is shown it."
    script:
        "../scripts/synthetic.py"
