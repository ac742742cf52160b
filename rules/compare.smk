"""Stored evaluations in; the tables of effects, scores and costs out, and how far they can be relied on."""

from stratagem.comparison.design import TABLES as TABLE_NAMES


localrules:
    compare,
    tables,
    certify,


COMPARISON = {
    "references": STUDY.references(),
    "metric": STUDY.report.metric,
    "margin": STUDY.report.margin,
    "effect": STUDY.report.effect,
    "classes": list(STUDY.classes),
    "arms": STUDY.arms(),
    "score_background": STUDY.report.score_background,
}
ROUND_TRIPS = {
    name: f"{RESULTS}/resolutions/{strategy.resolution}/roundtrip.parquet"
    for name, strategy in STUDY.strategies.items()
}
# What the first comparison named. It is no output, since Snakemake makes outputs anew.
PRECEDENT = f"{RESULTS}/first-comparison.json"
# Of tables that are asked for: they may be of another config than the report's, and of stale runs.
STORED_TABLES = f"{RESULTS}/report/tables-stored"
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
        tables=[
            report(
                f"{TABLES}/{name}.csv",
                caption="captions/table.rst",
                category="Tables",
                labels={"table": name, "holds": held},
            )
            for name, held in TABLE_NAMES.items()
        ],
        documents=expand(f"{TABLES}/{{table}}.{{kind}}", table=TABLE_NAMES, kind=["md", "tex"]),
    log:
        f"{RESULTS}/logs/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        source=code("comparison.tables", script="compare.py"),
        design=COMPARISON,
        round_trips=ROUND_TRIPS,
        pretraining=PRETRAINING,
        precedent=PRECEDENT,
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
        mem_mb=more(2000),
        runtime=more(30),
    params:
        design=COMPARISON,
        round_trips=ROUND_TRIPS,
        pretraining=PRETRAINING,
        precedent=PRECEDENT,
        results=RESULTS,
        folder=STORED_TABLES,
        expected=lambda wildcards: [run.as_record() for run in expected_runs()],
        source=sources("runs.train", script="train.py"),
    message:
        "Make the tables anew from the stored evaluations; train nothing, say which runs are stale."
    script:
        "../scripts/tables.py"


rule certify:
    log:
        f"{RESULTS}/logs/certify.log",
    # No benchmark, as above.
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        design=COMPARISON,
        results=RESULTS,
        folder=STORED_TABLES,
        expected=lambda wildcards: [run.as_record() for run in expected_runs()],
        shape=lambda wildcards: vars(expected_shape()) if expected_shape() else None,
        source=sources("runs.train", script="train.py"),
    message:
        "Simulate studies of this one's size and scatter: how often its verdicts err; train nothing."
    script:
        "../scripts/certify.py"
