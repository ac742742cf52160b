"""Shards, splits, a manifest and weights in; the network of one strategy, fold and seed out."""


rule train:
    input:
        unpack(train_inputs),
    output:
        model=runs("model.safetensors", strategy="{strategy}", fold="{fold}", seed="{seed}"),
        history=runs("history.parquet", strategy="{strategy}", fold="{fold}", seed="{seed}"),
        cost=runs("cost.json", strategy="{strategy}", fold="{fold}", seed="{seed}"),
    log:
        f"{RESULTS}/logs/train/{{strategy}}-fold{{fold}}-seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{strategy}}-fold{{fold}}-seed{{seed}}.tsv"
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
        source=code("runs.train", script="train.py"),
        recipe=recipe,
        lineage=lambda wildcards: lineage(wildcards.strategy),
    message:
        "Train {wildcards.strategy}, fold {wildcards.fold}, seed {wildcards.seed}."
    script:
        "../scripts/train.py"
