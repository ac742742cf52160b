"""Write the data report."""

from pathlib import Path

from stratagem.core.intact import require_whole
from stratagem.core.job import running
from stratagem.report.data_page import StoredData, render

with running(snakemake):
    require_whole(snakemake.input)
    inputs, params = snakemake.input, snakemake.params
    stored = StoredData(
        study=params.study,
        index=Path(inputs.index),
        duplicates=Path(inputs.duplicates),
        understood=Path(inputs.understood),
        splits=Path(inputs.splits),
        problems=Path(params.problems),
    )
    render(stored, Path(snakemake.output.page))
