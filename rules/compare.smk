"""Stored evaluations in; the tables of effects, scores and costs out."""


localrules:
    compare,
    tables,


REFERENCES = {
    strategy: STUDY.reference(strategy)
    for strategy in STUDY.strategies
    if STUDY.reference(strategy) is not None
}
COMPARISON = {
    "references": REFERENCES,
    "metric": STUDY.report.metric,
    "margin": STUDY.report.margin,
    "classes": list(STUDY.classes),
    "arms": STUDY.arms(),
}
ROUND_TRIPS = {
    name: f"{RESULTS}/resolutions/{strategy.resolution}/roundtrip.parquet"
    for name, strategy in STUDY.strategies.items()
}
# What teaching a strategy's source took, where that is known.
PRETRAINING = {
    name: cost_of(strategy.init.source)
    for name, strategy in STUDY.strategies.items()
    if strategy.init is not None and cost_of(strategy.init.source) is not None
}


rule compare:
    input:
        index=f"{RESULTS}/index.parquet",
        evaluations=runs("evaluation.parquet"),
        histories=runs("history.parquet"),
        costs=runs("cost.json"),
        round_trips=sorted(set(ROUND_TRIPS.values())),
        pretraining=sorted(set(PRETRAINING.values())),
    output:
        comparison=f"{TABLES}/comparison.csv",
        scores=f"{TABLES}/scores.csv",
        sizes=f"{TABLES}/sizes.csv",
        costs=f"{TABLES}/costs.csv",
        savings=f"{TABLES}/savings.csv",
        documents=expand(
            f"{TABLES}/{{table}}.{{kind}}",
            table=["comparison", "scores", "sizes", "costs", "savings"],
            kind=["md", "tex"],
        ),
    log:
        f"{RESULTS}/logs/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        source=code("comparison.tables", script="compare.py"),
        design=COMPARISON,
        round_trips=ROUND_TRIPS,
        pretraining=PRETRAINING,
    message:
        "Compare the strategies."
    script:
        "../scripts/compare.py"


rule tables:
    log:
        f"{RESULTS}/logs/tables.log",
    # No benchmark: Snakemake would take it for an output, and the second call would do nothing.
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        design=COMPARISON,
        round_trips=ROUND_TRIPS,
        pretraining=PRETRAINING,
        results=RESULTS,
        # A folder of its own: these tables may be of another config than the report's, and of stale runs.
        folder=f"{RESULTS}/report/tables-stored",
        expected=lambda wildcards: [run.as_record() for run in expected_runs()],
        source=sources("runs.train", script="train.py"),
    message:
        "Make the tables anew from the stored evaluations; train nothing, say which runs are stale."
    script:
        "../scripts/tables.py"
