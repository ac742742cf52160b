"""What a call says of its rules when asked, of itself at its end, and of the study in `snakemake --report`."""

from stratagem.core.killed import killed_jobs


# What `snakemake --report` begins with.
report: "captions/study.rst"


# `snakemake --list` shows what a rule says when it runs.
for one in workflow.rules:
    one.docstring = one.docstring or re.sub(r"\{wildcards\.(\w+)\}", r"{\1}", one.message or "")

# What a target is asked for, where it is not what its name says; a run of the whole study shows its report.
MADE = {
    "data": [f"{RESULTS}/data/report.html"],
    "audit": [f"{RESULTS}/audit/report.html"],
    "tables": [f"{RESULTS}/report/tables-stored/comparison.md"],
    "certify": [f"{RESULTS}/report/tables-stored/certified.md"],
    "prefetch": [f"{RESULTS}/sources/{name}/model.safetensors" for name in FETCHED],
    "verify": [],
    "repair": [],
}
# What makes no file of its own says so.
SAID = {
    "verify": f"Every sample of every shard is as its checksum says: {RESULTS}/logs/verify.log",
    "repair": f"Every shard is whole, and packed as the study says: {RESULTS}/logs/repair.log",
}


def made_by_call():
    """The files that this call was started for and that are there."""
    asked = set(workflow.dag_settings.targets or ["all"])
    named = [path for target in sorted(asked) for path in MADE.get(target, [target])]
    whole = asked & {"all", "report"}
    return filter(os.path.isfile, [*named, *([f"{RESULTS}/report/report.html"] if whole else [])])


onsuccess:
    for path in made_by_call():
        print(f"Made: {path}")
    for target in sorted(SAID.keys() & workflow.dag_settings.targets):
        print(SAID[target])


onerror:
    for said in killed_jobs(log):
        print(said, file=sys.stderr)
