"""The embedded demo data, generated: in, nothing; out, a folder of images and one of masks a domain."""


rule demo:
    output:
        images=directory(f"{DEMO}/{{domain}}/images"),
        masks=directory(f"{DEMO}/{{domain}}/masks"),
    log:
        f"{DEMO}/logs/demo-{{domain}}.log",
    benchmark:
        f"{DEMO}/benchmarks/demo-{{domain}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("data.demo", script="demo.py"),
    message:
        "Generate the demo images of domain {wildcards.domain}."
    script:
        "../scripts/demo.py"
