"""Fetch, check and store the weights of a source."""

from safetensors.torch import save_file

from stratagem.core.files import replacing
from stratagem.core.job import log, running
from stratagem.transfer.weights import fetch

with running(snakemake):
    params = snakemake.params
    state = fetch(params.weights, params.sha256, params.network)
    log.info("%d tensors", len(state))
    with replacing(snakemake.output.model) as beside:
        save_file({name: value.contiguous() for name, value in state.items()}, beside)
