"""Ask what each transform of one augmentation does to the training images."""

from stratagem.augmentation.audit import audit, sheet
from stratagem.augmentation.on_cpu import exchange
from stratagem.augmentation.transforms import Policy, require_colour
from stratagem.core.files import read_table, write_json, write_table, write_text
from stratagem.core.job import log, running
from stratagem.data.channels import channels_in
from stratagem.data.rows import load
from stratagem.report import figures

with running(snakemake):
    params, output = snakemake.params, snakemake.output
    policy, index = Policy.of(params.policy), load(snakemake.input.index)
    require_colour(policy, channels_in(index), snakemake.wildcards.augmentation)
    splits = read_table(snakemake.input.splits)
    taught = splits.loc[(splits["fold"] == 0) & (splits["part"] == "train"), "sample"]
    index = index[index["sample"].isin(taught)]
    found = audit(index, policy, params.classes)
    for row in found.transforms.itertuples():
        log.info("%s: %s", row.transform, row.verdict)
    write_table(found.transforms, output.transforms)
    write_table(found.balance, output.balance)
    write_json({name: figures.changed(*pair) for name, pair in found.pictures.items()}, output.pictures)
    write_text(figures.sheet(sheet(index, policy, exchange(params.swaps))), output.sheet)
