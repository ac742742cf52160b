"""Index a data set: every sample found, read, checked, measured."""

from stratagem.core.files import write_json, write_table
from stratagem.core.job import log, running
from stratagem.data.index import Wanted, build_index, require_good
from stratagem.data.sample import find, read_sheet

with running(snakemake):
    params, output, problems = snakemake.params, snakemake.output, snakemake.log.problems
    data, wanted = params.data, Wanted.of(params.data)
    if "sheet" in data:
        found = read_sheet(data["sheet"], params.group, params.part)
    else:
        found = find(data["images"], data["masks"], data["mask_name"], params.group, params.part)
    index = build_index(found, wanted, lambda table: write_table(table, problems))
    log.info("%d good samples, %d bad files", len(index.table), len(index.problems))
    write_table(index.problems, problems)
    require_good(index, wanted.classes, params.bad_samples, problems)
    log.info("masks: %s; images: %s", index.understood["labels"], index.understood["images"])
    for note in index.understood["notes"]:
        log.info("note: %s", note)
    write_table(index.table, output.index)
    write_table(index.duplicates, output.duplicates)
    write_json(index.understood, output.understood)
