"""Sources of weights: a data set's shards, a file or an address in; weights that strategies start from out."""


localrules:
    fetch,


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
        mem_mb=doubled_on_retry(training_mb()),
        runtime=720,
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
        mem_mb=2000,
        runtime=60,
    params:
        source=code("transfer.weights", "core.files", script="fetch.py"),
        weights=lambda wildcards: weights_of(wildcards.source),
        sha256=lambda wildcards: getattr(STUDY.sources[wildcards.source], "sha256", None),
        network=lambda wildcards: getattr(STUDY.sources[wildcards.source], "network", None),
    message:
        "Fetch and check the weights of source {wildcards.source}."
    script:
        "../scripts/fetch.py"
