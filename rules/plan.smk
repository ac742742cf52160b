"""The index in; a resolution plan fitted on its sizes out."""


localrules:
    plan,


rule plan:
    input:
        index="{root}/index.parquet",
    output:
        plan="{root}/resolutions/{resolution}/plan.json",
    log:
        "{root}/logs/plan/{resolution}.log",
    benchmark:
        "{root}/benchmarks/plan/{resolution}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("resolution.plans", "core.files", script="plan.py"),
        options=lambda wildcards: STUDY.resolutions[wildcards.resolution].options,
        stride=lambda wildcards: STUDY.stride(wildcards.resolution),
    message:
        "Fit the resolution plan {wildcards.resolution}."
    script:
        "../scripts/plan.py"
