"""The index and a plan in; what the plan loses of the true masks out."""


rule roundtrip:
    input:
        index=f"{RESULTS}/index.parquet",
        plan=f"{RESULTS}/resolutions/{{resolution}}/plan.json",
    output:
        counts=f"{RESULTS}/resolutions/{{resolution}}/roundtrip.parquet",
    log:
        f"{RESULTS}/logs/roundtrip/{{resolution}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/roundtrip/{{resolution}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=image_mb(images=0, masks=28),
        runtime=image_min,
    params:
        source=code("evaluation.roundtrip", "core.files", "data.rows", script="roundtrip.py"),
        classes=len(STUDY.classes),
    message:
        "Take the true masks through resolution {wildcards.resolution} and back."
    script:
        "../scripts/roundtrip.py"
