"""Raw images and masks in; a table of checked samples out, and of what is bad, duplicate, understood."""


rule index:
    input:
        places=raw_inputs,
    output:
        index="{root}/index.parquet",
        duplicates="{root}/duplicates.csv",
        understood="{root}/understood.json",
    log:
        "{root}/logs/index.log",
        # A log, not an output: Snakemake deletes the outputs of a job that stops, and this one must stay.
        problems="{root}/problems.csv",
    benchmark:
        "{root}/benchmarks/index.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=more(4000),
        runtime=more(60),
    params:
        source=code("data.index", "data.collection", "data.raw", "core.files", script="index.py"),
        data=lambda wildcards: data_of(wildcards.root),
        group=lambda wildcards: STUDY.split.group,  # a plain text with braces would be a pattern
        part=lambda wildcards: STUDY.split.part,
        bad_samples=STUDY.bad_samples,
        files=lambda wildcards: fingerprint_of(wildcards.root),
    message:
        "Read and check every image and mask of {wildcards.root}."
    script:
        "../scripts/index.py"
