"""The index, what was understood and the split in; one self-contained page about the data out."""


localrules:
    data,


rule data:
    input:
        index=f"{RESULTS}/index.parquet",
        duplicates=f"{RESULTS}/duplicates.csv",
        understood=f"{RESULTS}/understood.json",
        splits=f"{RESULTS}/splits.parquet",
    output:
        page=report(
            f"{RESULTS}/data/report.html",
            caption="captions/data.rst",
            category="Data",
            labels={"page": "data"},
        ),
    log:
        f"{RESULTS}/logs/data.log",
    benchmark:
        f"{RESULTS}/benchmarks/data.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(30),
    params:
        source=code("report.data_page", "core.intact", script="data.py"),
        study=STUDY.model_dump(mode="json", include={"study", "classes", "split", "channels"}),
        # No input: it is a log, and changes with the index alone.
        problems=f"{RESULTS}/problems.csv",
    message:
        "Write the data report."
    script:
        "../scripts/data.py"
