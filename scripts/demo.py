"""Generate one domain of the demo data."""

from pathlib import Path

from stratagem.demo import write_domain
from stratagem.job import running

with running(snakemake):
    write_domain(
        snakemake.wildcards.domain,
        Path(snakemake.output.images),
        Path(snakemake.output.masks),
    )
