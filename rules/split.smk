"""The index in; the part of every sample in every fold out: train, val or test."""


localrules:
    split,


rule split:
    input:
        index=f"{RESULTS}/index.parquet",
    output:
        splits=f"{RESULTS}/splits.parquet",
    log:
        f"{RESULTS}/logs/split.log",
    benchmark:
        f"{RESULTS}/benchmarks/split.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("data.split", "core.files", "data.rows", script="split.py"),
        folds=STUDY.folds,
        test=STUDY.split.test,
        validation=STUDY.split.validation,
        seed=STUDY.split.seed,
    message:
        "Divide the samples into training, validation and test images."
    script:
        "../scripts/split.py"
