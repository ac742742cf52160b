"""Write the page about the augmentations."""

from pathlib import Path

from stratagem.core.intact import require_whole
from stratagem.core.job import running
from stratagem.report.audit_page import StoredAudit, write_page

with running(snakemake):
    require_whole(snakemake.input)
    params = snakemake.params
    folders = {
        name: Path(path).parent for name, path in zip(params.presets, snakemake.input.sheets, strict=True)
    }
    write_page(StoredAudit(params.study, folders, params.presets), Path(snakemake.output.page))
