"""Tables, histories and predictions in; one self-contained page and its figures out."""

from stratagem import __version__ as VERSION


localrules:
    report,


SHOWN = {
    "study",
    "classes",
    "split",
    "folds",
    "seeds",
    "budget",
    "unet",
    "training",
    "augmentations",
    "strategies",
    "report",
}


rule report:
    input:
        index=f"{RESULTS}/index.parquet",
        splits=f"{RESULTS}/splits.parquet",
        plans=sorted(
            {
                f"{RESULTS}/resolutions/{strategy.resolution}/plan.json"
                for strategy in STUDY.strategies.values()
            }
        ),
        tables=[f"{TABLES}/{name}.csv" for name in TABLE_NAMES],
        histories=runs("history.parquet"),
        costs=runs("cost.json"),
        evaluations=runs("evaluation.parquet"),
        predictions=runs("predictions"),
    output:
        page=report(
            f"{RESULTS}/report/report.html",
            caption="captions/answer.rst",
            category="Answer",
            labels={"page": "report"},
        ),
        figures=report(
            directory(f"{RESULTS}/report/figures"),
            patterns=["{figure}.svg"],
            caption="captions/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        source=code("report.comparison_page", "core.intact", script="report.py"),
        version=VERSION,
        study=STUDY.model_dump(mode="json", include=SHOWN),
        # No input: it is a log, and changes with the index alone.
        problems=f"{RESULTS}/problems.csv",
    message:
        "Write the report."
    script:
        "../scripts/report.py"
