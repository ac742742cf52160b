"""A trained network and the test images in; pixel counts, confusion and predicted masks out."""


rule evaluate:
    input:
        index=f"{RESULTS}/index.parquet",
        splits=f"{RESULTS}/splits.parquet",
        plan=plan_of_strategy,
        model=runs("model.safetensors", strategy="{strategy}", fold="{fold}", seed="{seed}"),
        cost=runs("cost.json", strategy="{strategy}", fold="{fold}", seed="{seed}"),
    output:
        evaluation=runs("evaluation.parquet", strategy="{strategy}", fold="{fold}", seed="{seed}"),
        confusion=runs("confusion.parquet", strategy="{strategy}", fold="{fold}", seed="{seed}"),
        predictions=directory(runs("predictions", strategy="{strategy}", fold="{fold}", seed="{seed}")),
    log:
        f"{RESULTS}/logs/evaluate/{{strategy}}-fold{{fold}}-seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{strategy}}-fold{{fold}}-seed{{seed}}.tsv"
    conda:
        ENVIRONMENT
    threads: STUDY.threads
    resources:
        gpu=GPU,
        mem_mb=prediction_mb,
        runtime=prediction_min,
    params:
        source=code("runs.evaluate", script="evaluate.py"),
        recipe=recipe,
    message:
        "Test {wildcards.strategy}, fold {wildcards.fold}, seed {wildcards.seed}."
    script:
        "../scripts/evaluate.py"
