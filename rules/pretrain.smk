"""Sources of weights: a data set's shards, a file or an address in; weights that strategies start from out."""


localrules:
    fetch,


# What it makes is no input of training, so that what was trained before this rule was there stays.
rule overlap:
    input:
        source=lambda wildcards: index_of_source(wildcards.source),
        index=f"{RESULTS}/index.parquet",
        splits=f"{RESULTS}/splits.parquet",
    output:
        found=f"{RESULTS}/sources/{{source}}/overlap.json",
    log:
        f"{RESULTS}/logs/overlap/{{source}}.log",
        # A log, not an output: Snakemake deletes the outputs of a job that stops, and this one must stay.
        pairs=f"{RESULTS}/sources/{{source}}/overlap.csv",
    benchmark:
        f"{RESULTS}/benchmarks/overlap/{{source}}.tsv"
    wildcard_constraints:
        source=one_of(SEEN),
    # Before what is trained.
    priority: 1
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=more(4000),
        runtime=more(60),
    params:
        source=code("data.overlap", "data.rows", "core.files", script="overlap.py"),
        source_key=lambda wildcards: f"sources.{wildcards.source}",
        start=lambda wildcards: start_of_source(wildcards.source),
        duplicates=lambda wildcards: copies_in(wildcards.source),
    message:
        "Look for test images among those of source {wildcards.source}."
    script:
        "../scripts/overlap.py"


rule pretrain:
    input:
        unpack(pretrain_inputs),
    output:
        model=f"{RESULTS}/sources/{{source}}/model.safetensors",
        history=f"{RESULTS}/sources/{{source}}/history.parquet",
        cost=f"{RESULTS}/sources/{{source}}/cost.json",
    log:
        f"{RESULTS}/logs/pretrain/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain/{{source}}.tsv"
    wildcard_constraints:
        source=one_of(TAUGHT),
    conda:
        ENVIRONMENT
    threads: STUDY.threads
    resources:
        gpu=GPU,
        mem_mb=training_mb,
        runtime=training_min,
        # How batches are made, and how often the state is recorded, changes no result: no parameters.
        workers=STUDY.loader.workers,
        loader_mb=STUDY.loader.memory_mb,
        read=STUDY.loader.read,
        verify=int(STUDY.loader.verify),
        record_s=STUDY.record_every_s,
    params:
        source=code("runs.train", script="pretrain.py"),
        recipe=lambda wildcards: STUDY.pretraining(wildcards.source).model_dump(mode="json"),
    message:
        "Teach a U-Net on source {wildcards.source}."
    script:
        "../scripts/pretrain.py"


rule fetch:
    input:
        # A local file is watched.
        weights=lambda wildcards: local_file(weights_of(wildcards.source)),
    output:
        model=f"{RESULTS}/sources/{{source}}/model.safetensors",
    log:
        f"{RESULTS}/logs/fetch/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch/{{source}}.tsv"
    wildcard_constraints:
        source=one_of(FETCHED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        source=code("transfer.weights", "core.files", script="fetch.py"),
        weights=lambda wildcards: weights_of(wildcards.source),
        sha256=lambda wildcards: getattr(STUDY.sources[wildcards.source], "sha256", None),
        network=lambda wildcards: getattr(STUDY.sources[wildcards.source], "network", None),
    message:
        "Fetch and check the weights of source {wildcards.source}."
    script:
        "../scripts/fetch.py"
