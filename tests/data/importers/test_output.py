"""The folder that an importer makes."""

from pathlib import Path

import pytest

from collecting import nnunet, sheet, study
from stratagem.core.errors import DataError
from stratagem.data.importers.nnunet import import_nnunet


def test_a_folder_that_holds_something_is_never_replaced(tmp_path):
    """A study.yaml that I have edited, or a folder named by mistake, stays as it is; an empty one is used."""
    folder = nnunet(tmp_path / "raw")
    out = tmp_path / "out"
    out.mkdir()
    import_nnunet(folder, out)
    (out / "study.yaml").write_text("mine")
    for taken in (out, folder, folder / "dataset.json"):
        with pytest.raises(DataError, match="a new folder, or an empty one"):
            import_nnunet(folder, taken)
    assert (out / "study.yaml").read_text() == "mine"
    assert len(list(folder.iterdir())) == 3


def test_the_sheet_is_found_from_where_the_study_is_started(tmp_path, monkeypatch):
    """`sheet` is the path as I gave it; the paths in the sheet start at the sheet, also behind a link."""
    nnunet(tmp_path / "raw")
    (tmp_path / "deep" / "store").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "store")
    monkeypatch.chdir(tmp_path)
    import_nnunet("raw", "link/out")
    assert study(tmp_path / "link" / "out")["sheet"] == "link/out/samples.csv"
    assert len(sheet(Path("link/out"))) == 2
    assert sheet(tmp_path / "deep" / "store" / "out")["image"][0] == "../../../raw/imagesTr/a_0000.png"
