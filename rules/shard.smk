"""The index and a plan in; HDF5 shards out, a catalogue of where each sample is, and whether all are whole."""


localrules:
    gather,


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
        mem_mb=image_mb(images=3, masks=3),
        runtime=image_min,
        # Not a parameter: it changes no pixel, so it trains nothing anew; `repair` packs what is there.
        compression=STUDY.shards.compression,
    params:
        source=code("loading.shards", "data.rows", script="shard.py"),
        classes=lambda wildcards: classes_of(wildcards.root),
        shards=STUDY.shards.files,
    message:
        "Write shard {wildcards.shard} of resolution {wildcards.resolution}."
    script:
        "../scripts/shard.py"


rule gather:
    input:
        shards=expand(
            "{root}/resolutions/{resolution}/{shard}.h5",
            shard=range(STUDY.shards.files),
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
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("loading.shards", script="gather.py"),
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
        mem_mb=more(1000),
        runtime=more(120),
    params:
        source=sources("loading.shards", script="verify.py"),
    message:
        "Compare every sample of every shard with its checksum."
    script:
        "../scripts/verify.py"


rule repair:
    input:
        shards=[f"{folder}/shards.parquet" for folder in SHARDED],
    log:
        f"{RESULTS}/logs/repair.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(120),
        compression=STUDY.shards.compression,
    params:
        source=sources("loading.shards", "data.rows", "runs.unverified", script="repair.py"),
        classes={root: classes_of(root) for root in DATASETS},
        shards=STUDY.shards.files,
    message:
        "Make every shard anew that is damaged, or packed otherwise than the study says."
    script:
        "../scripts/repair.py"
