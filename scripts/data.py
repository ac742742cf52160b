"""Write the data report."""

from pathlib import Path

from stratagem.core.intact import require_whole
from stratagem.core.job import running
from stratagem.report.data_page import StoredData, render

with running(snakemake):
    inputs, params = snakemake.input, snakemake.params
    require_whole([inputs.duplicates])  # which reads without an error where it was cut
    stored = StoredData(
        study=params.study,
        index=Path(inputs.index),
        duplicates=Path(inputs.duplicates),
        understood=Path(inputs.understood),
        splits=Path(inputs.splits),
        problems=Path(params.problems),
    )
    render(stored, Path(snakemake.output.page))
