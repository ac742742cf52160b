"""Refuse a source among whose images are test images of the study."""

from stratagem.core.files import read_table, write_json, write_table
from stratagem.core.job import log, running
from stratagem.data.overlap import require_apart, shared, still_there
from stratagem.data.rows import load

with running(snakemake):
    params, inputs = snakemake.params, snakemake.input
    key, kind = params.duplicates
    index, splits = load(inputs.index), read_table(inputs.splits)
    tested = index[index["sample"].isin(splits.loc[splits["part"] == "test", "sample"])]
    source, gone = still_there(load(inputs.source), params.start)
    if gone:
        log.warning("%d images of %s are no longer there and were not looked at", gone, params.source_key)
    compared = source if kind != "off" else source[:0]
    found = shared(compared, tested, near=kind == "near", threads=snakemake.threads)
    write_table(found, snakemake.log.pairs)
    require_apart(found, params.source_key, key, snakemake.log.pairs)
    write_json({"duplicates": kind, "compared": len(compared), "gone": gone}, snakemake.output.found)
