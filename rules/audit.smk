"""Training images and policies in; what each transform does to them out, as tables and as a page."""


localrules:
    audit,


rule audit_augmentation:
    input:
        index=f"{RESULTS}/index.parquet",
        splits=f"{RESULTS}/splits.parquet",
    output:
        transforms=f"{RESULTS}/audit/{{augmentation}}/transforms.csv",
        balance=f"{RESULTS}/audit/{{augmentation}}/balance.csv",
        pictures=f"{RESULTS}/audit/{{augmentation}}/pictures.json",
        sheet=report(
            f"{RESULTS}/audit/{{augmentation}}/sheet.svg",
            caption="captions/sheet.rst",
            category="Augmentations",
            labels={"page": "examples of {augmentation}"},
        ),
    log:
        f"{RESULTS}/logs/audit_augmentation/{{augmentation}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/audit_augmentation/{{augmentation}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(3000),
        runtime=more(60),
    params:
        source=code("augmentation.audit", "report.figures", "data.rows", script="audit_augmentation.py"),
        policy=lambda wildcards: STUDY.augmentations[wildcards.augmentation].policy(),
        classes=list(STUDY.classes),
        swaps=[[STUDY.classes.index(name) for name in pair] for pair in STUDY.swaps],
    message:
        "Audit augmentation {wildcards.augmentation}."
    script:
        "../scripts/audit_augmentation.py"


rule audit:
    input:
        sheets=expand(f"{RESULTS}/audit/{{augmentation}}/sheet.svg", augmentation=USED),
        tables=expand(
            f"{RESULTS}/audit/{{augmentation}}/{{table}}",
            augmentation=USED,
            table=["transforms.csv", "balance.csv", "pictures.json"],
        ),
    output:
        page=report(
            f"{RESULTS}/audit/report.html",
            caption="captions/audit.rst",
            category="Augmentations",
            labels={"page": "audit"},
        ),
    log:
        f"{RESULTS}/logs/audit.log",
    benchmark:
        f"{RESULTS}/benchmarks/audit.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(10),
    params:
        source=code("report.audit_page", "core.intact", script="audit.py"),
        study=STUDY.model_dump(mode="json", include={"study", "classes", "swaps", "handed", "upright"}),
        presets={name: STUDY.augmentations[name].preset for name in USED},
    message:
        "Write the audit of the augmentations."
    script:
        "../scripts/audit.py"
