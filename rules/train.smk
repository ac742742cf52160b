"""Shards, splits, a manifest and weights in; the network of one strategy, fold and seed out."""


def train_inputs(wildcards):
    """What one run reads; a manifest and weights only where its strategy names them."""
    strategy = STUDY.strategies[wildcards.strategy]
    found = training_inputs(RESULTS, strategy.resolution, strategy.augmentation, wildcards.seed)
    found["splits"] = f"{RESULTS}/splits.parquet"
    if strategy.init is not None:
        found["weights"] = f"{RESULTS}/sources/{strategy.init.source}/model.safetensors"
    return found


def recipe(wildcards):
    """All that fixes one run beside its input files."""
    run = STUDY.run(wildcards.strategy, int(wildcards.fold), int(wildcards.seed))
    return run.model_dump(mode="json")


rule train:
    """Train {wildcards.strategy}, fold {wildcards.fold}, seed {wildcards.seed}."""
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
    threads: STUDY.threads
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=720,
    params:
        source=sources("run"),
        recipe=recipe,
    conda:
        ENVIRONMENT
    script:
        "../scripts/train.py"
