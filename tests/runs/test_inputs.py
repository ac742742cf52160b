"""A run reads what its rule names."""

from types import SimpleNamespace

import pandas as pd

from stratagem.core.files import write_json, write_table
from stratagem.runs.inputs import Inputs


def test_inputs_are_read_from_the_named_files_of_a_rule(inputs, tmp_path):
    """A rule's named inputs are what a run reads; what it does not name is not there."""
    write_table(inputs.index, tmp_path / "index.parquet")
    write_json(inputs.plan.as_record(), tmp_path / "plan.json")
    write_table(inputs.splits, tmp_path / "splits.parquet")

    class Files(SimpleNamespace):
        def items(self):
            return vars(self).items()

    named = {"index": tmp_path / "index.parquet", "plan": tmp_path / "plan.json"}
    read = Inputs.read(Files(**named))
    assert (read.shards, read.splits, read.manifest, read.weights) == (None, None, None, None)
    assert read.plan == inputs.plan
    without = inputs.index.reset_index(drop=True).drop(columns="print", errors="ignore")
    pd.testing.assert_frame_equal(read.index, without, check_dtype=False)
    read = Inputs.read(Files(**named, splits=tmp_path / "splits.parquet", shards=inputs.shards, weights="w"))
    assert (read.shards, read.weights) == (inputs.shards, "w")
    assert read.of_part("test", 0)["sample"].tolist() == inputs.of_part("test", 0)["sample"].tolist()
