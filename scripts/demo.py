"""Generate one domain of the demo data."""

from pathlib import Path

from stratagem.core.job import running
from stratagem.data.demo import write_domain

with running(snakemake):
    write_domain(
        snakemake.wildcards.domain,
        Path(snakemake.output.images),
        Path(snakemake.output.masks),
    )
