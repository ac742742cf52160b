"""Write the data report."""

from pathlib import Path

from stratagem.core.job import running
from stratagem.report.data_page import Stored, render

with running(snakemake):
    inputs, params = snakemake.input, snakemake.params
    stored = Stored(
        study=params.study,
        index=Path(inputs.index),
        duplicates=Path(inputs.duplicates),
        understood=Path(inputs.understood),
        splits=Path(inputs.splits),
        problems=Path(params.problems),
    )
    render(stored, Path(snakemake.output.page))
