"""Write the report."""

from pathlib import Path

from stratagem.core.intact import require_whole
from stratagem.core.job import running
from stratagem.report.comparison_page import StoredStudy, render

with running(snakemake):
    inputs, output = snakemake.input, snakemake.output
    require_whole(inputs.tables)  # which read without an error where they were cut
    stored = StoredStudy(
        study=snakemake.params.study,
        version=snakemake.params.version,
        tables=Path(inputs.tables[0]).parent,
        runs=[Path(path).parent for path in inputs.costs],
        index=Path(inputs.index),
        splits=Path(inputs.splits),
        problems=Path(snakemake.params.problems),
        plans=[Path(path) for path in inputs.plans],
    )
    render(stored, Path(output.page), Path(output.figures))
