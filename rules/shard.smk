"""The index and a plan in; HDF5 shards out, a catalogue of where each sample is, and whether all are whole."""

SHARDED = sorted(
    {
        f"{RESULTS}/resolutions/{strategy.resolution}"
        for strategy in STUDY.strategies.values()
        if strategy.loader.storage != "files"
    }
    | {f"{RESULTS}/sources/{name}/resolutions/{STUDY.sources[name].resolution}" for name in TAUGHT}
)


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
        shards=STUDY.shards.files,
        compression=STUDY.shards.compression,
    message:
        "Write shard {wildcards.shard} of resolution {wildcards.resolution}."
    script:
        "../scripts/shard.py"


rule gather:
    input:
        index="{root}/index.parquet",
        plan="{root}/resolutions/{resolution}/plan.json",
        # What they hold follows from the rest: one made again, because it was damaged or is to be packed
        # otherwise, changes no catalogue and trains nothing anew.
        shards=ancient(
            expand(
                "{root}/resolutions/{resolution}/{shard}.h5",
                shard=range(STUDY.shards.files),
                allow_missing=True,
            )
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
        written=sources("shard", script="shard.py"),
    message:
        "List where each sample of resolution {wildcards.resolution} is."
    script:
        "../scripts/gather.py"


rule verify:
    input:
        shards=[f"{folder}/shards.parquet" for folder in SHARDED],
    log:
        f"{RESULTS}/logs/verify.log",
    # No benchmark: Snakemake would take it for an output, and the second call would do nothing.
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        source=sources("shard", script="verify.py"),
    message:
        "Compare every sample of every shard with its checksum."
    script:
        "../scripts/verify.py"
