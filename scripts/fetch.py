"""Fetch, check and store the weights of a source."""

from safetensors.torch import save_file

from stratagem.files import replacing
from stratagem.job import log, running
from stratagem.transfer import fetch

with running(snakemake):
    params = snakemake.params
    state = fetch(params.weights, params.sha256, params.network)
    log.info("%d tensors", len(state))
    with replacing(snakemake.output.model) as beside:
        save_file({name: value.contiguous() for name, value in state.items()}, beside)
