"""The index and a plan in; HDF5 shards of framed samples out, and a catalogue of where each sample is."""


rule shard:
    input:
        index="{root}/index.parquet",
        plan="{root}/resolutions/{resolution}/plan.json",
    output:
        shard="{root}/resolutions/{resolution}/{shard}.h5",
    log:
        "{root}/logs/shard/{resolution}-{shard}.log",
    benchmark:
        "{root}/benchmarks/shard/{resolution}-{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        source=sources("shard", script="shard.py"),
        classes=lambda wildcards: list(dataset(wildcards).classes),
        shards=STUDY.shards,
    message:
        "Write shard {wildcards.shard} of resolution {wildcards.resolution}."
    script:
        "../scripts/shard.py"


rule gather:
    input:
        shards=expand(
            "{root}/resolutions/{resolution}/{shard}.h5",
            shard=range(STUDY.shards),
            allow_missing=True,
        ),
    output:
        shards="{root}/resolutions/{resolution}/shards.parquet",
    log:
        "{root}/logs/gather/{resolution}.log",
    benchmark:
        "{root}/benchmarks/gather/{resolution}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        source=sources("shard", script="gather.py"),
    message:
        "List where each sample of resolution {wildcards.resolution} is."
    script:
        "../scripts/gather.py"
