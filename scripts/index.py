"""Index a data set: every sample found, read, checked, measured."""

from pathlib import Path

from stratagem.core.files import write_json, write_table
from stratagem.core.job import log, running
from stratagem.data.collection import samples_of
from stratagem.data.index import Wanted, build_index, require_good
from stratagem.data.raw import present_places, record_contents

with running(snakemake):
    params, output, problems = snakemake.params, snakemake.output, snakemake.log.problems
    root = Path(output.index).parent
    data, wanted = present_places(params.data, root), Wanted.of(params.data | {"group": params.group})
    found = samples_of(data, params.group, params.part)
    index = build_index(found, wanted, lambda table: write_table(table, problems), snakemake.threads)
    log.info("%d good samples, %d bad files", len(index.table), len(index.problems))
    write_table(index.problems, problems)
    require_good(index, wanted.classes, params.bad_samples, problems)
    log.info("masks: %s; images: %s", index.understood["labels"], index.understood["images"])
    for note in index.understood["notes"]:
        log.info("note: %s", note)
    write_table(index.table, output.index)
    write_table(index.duplicates, output.duplicates)
    write_json(index.understood, output.understood)
    if params.files != "demo":
        record_contents(data, params.data, params.files, root)
