"""Raw images and masks in; a table of checked samples out, and one of every file that is bad."""


rule index:
    input:
        images=lambda wildcards: dataset(wildcards).images,
        masks=lambda wildcards: dataset(wildcards).masks,
    output:
        index="{root}/index.parquet",
    log:
        "{root}/logs/index.log",
        # A log, not an output: Snakemake deletes the outputs of a job that stops, and this one must stay.
        problems="{root}/problems.csv",
    benchmark:
        "{root}/benchmarks/index.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        source=sources("sample", "files"),
        classes=lambda wildcards: list(dataset(wildcards).classes),
        labels=lambda wildcards: dataset(wildcards).labels,
        group=STUDY.split.group,
        bad_samples=STUDY.bad_samples,
        files=fingerprint_of,
    message:
        "Read and check every image and mask of {wildcards.root}."
    script:
        "../scripts/index.py"
