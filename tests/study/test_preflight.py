"""What a study lacks is told before its first job."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from stratagem.core.errors import ConfigError
from stratagem.study.preflight import require
from stratagem.study.reading import read_study

DEMO = "data/demo"
KINDS = ".bmp, .gif, .j2k, .jfif, .jp2, .jpeg, .jpg, .pbm, .pgm, .png, .pnm, .ppm, .tif, .tiff, .webp"
MADE = ", ".join(f"{DEMO}/{domain}/{part}" for domain in ("tissue", "glow") for part in ("images", "masks"))


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    """A working folder with two good data sets and a weights file."""
    monkeypatch.chdir(tmp_path)
    for data in ("own", "other"):
        for part in ("images", "masks"):
            (tmp_path / data / part / "deep").mkdir(parents=True)
            (tmp_path / data / part / "deep" / "1.PNG").touch()
    (tmp_path / "resnet18.pth").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()


def _study(own: dict | None = None, other: dict | None = None, **weights):
    classes = ["background", "cell"]
    taught = {"images": "other/images", "masks": "other/masks", "classes": classes}
    taught |= {"resolution": "native", "budget": {"steps": 1}}
    config = {"study": "small", "images": "own/images", "masks": "own/masks", "classes": classes}
    config |= {"seeds": [1], "budget": {"steps": 1}, "resolutions": {"native": {"plan": "native"}}}
    config["sources"] = {"others": taught | (other or {}), "imagenet": {"weights": "resnet18.pth"} | weights}
    return read_study(config | {"strategies": {"baseline": {"resolution": "native"}}} | (own or {}))


def _faults(study, cores: int | None = 1) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        require(study, demo=DEMO, cores=cores)
    return caught.value.faults


@pytest.mark.parametrize("folder", ["own/images", "own", f"{DEMO}/glow/images", f"{DEMO}/glow/images/"])
def test_a_study_that_lacks_nothing_passes(folder):
    """Images lie in the folder or below it, or the workflow makes them."""
    require(_study({"images": folder}), demo=DEMO, cores=1)


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("no/such", "expected a folder, but found none at no/such; correct the path."),
        ("resnet18.pth", "expected a folder, but found a file at resnet18.pth; correct the path."),
        (
            "empty",
            f"expected images ({KINDS}), but found none in empty, only 1 .txt; correct the path or add them.",
        ),
        (
            "data/demo/typo/images",
            f"expected one of {MADE}, but found data/demo/typo/images; correct the path.",
        ),
        ("data/demo", f"expected one of {MADE}, but found data/demo; correct the path."),
        ("./data/demo/x", f"expected one of {MADE}, but found ./data/demo/x; correct the path."),
        ("a{b}", "expected a path without braces, but found a{b}; give the folder another name."),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_under_its_own_key(folder, sentence):
    """I read which key to mend: the study's own or a source's, images or masks."""
    for key in ("images", "masks"):
        assert _faults(_study({key: folder})) == [f"{key}: {sentence}"]
        assert _faults(_study(other={key: folder})) == [f"sources.others.{key}: {sentence}"]


def test_a_demo_folder_is_written_as_the_workflow_writes_it():
    """Snakemake compares names, so another spelling of a folder that it makes would not be found."""
    folder = f"./{DEMO}/tissue/images"
    assert _faults(_study({"images": folder}))[0].endswith(f"but found {folder}; correct the path.")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "none.pth",
            "sources.imagenet.weights, none.pth: expected a weights file, but found no file of that name; "
            "correct the path.",
        ),
        (
            "{a}.pth",
            "sources.imagenet.weights: expected a path without braces, but found {a}.pth; "
            "give the file another name.",
        ),
    ],
)
def test_a_weights_file_that_cannot_be_used_is_told(path, sentence):
    """I misspell the file of a source."""
    assert _faults(_study(weights=path)) == [sentence]


def test_an_address_of_weights_is_not_looked_for():
    """What is fetched from the net need not lie here."""
    require(_study(weights="https://host/{a}.pth", sha256="0" * 64), demo=DEMO, cores=1)


def test_a_name_of_weights_is_not_looked_for():
    """What torchvision keeps is fetched by the job."""
    require(_study(weights="DEFAULT", network="resnet18"), demo=DEMO, cores=1)


RECIPE = {"strategy": {"network": "unet"}, "unet": {"width": 16, "depth": 4}}
RUN = "results/before/runs/baseline/fold0/seed1"


def _run(folder: str = RUN, recipe: dict = RECIPE, learned: tuple[str, ...] = ("away/1.png",)) -> Path:
    """The files of a finished run of another study, and that study's index."""
    path = Path(folder)
    path.mkdir(parents=True)
    (path / "model.safetensors").touch()
    (path / "cost.json").write_text(json.dumps({"recipe": recipe}))
    index = path / "index.parquet" if "sources" in path.parts else path.parents[3] / "index.parquet"
    pd.DataFrame({"image": learned}).to_parquet(index)
    return path


def _on_run(folder: str = RUN, **changes):
    """A study that starts from a run."""
    strategies = {
        "baseline": {"resolution": "native"},
        "further": {"resolution": "native", "init": {"source": "run"}},
    }
    return _study({"sources": {"run": {"run": folder}}, "strategies": strategies} | changes)


@pytest.mark.parametrize("folder", [RUN, "results/before/sources/cells"])
def test_a_run_of_another_study_is_a_source(folder):
    """Its network is of the kind that my strategies have; a source that it taught is one as well."""
    _run(folder)
    require(_on_run(folder), demo=DEMO, cores=1)


@pytest.mark.parametrize("missing", ["model.safetensors", "cost.json"])
def test_a_run_that_is_not_finished_is_told(missing):
    """I name a folder in which a file of a run is not there."""
    (_run() / missing).unlink()
    assert _faults(_on_run()) == [
        f"sources.run.run: expected a finished run's folder, but found no {missing} in it: {RUN}."
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"recipe": {"strategy": {}}}', '{"recipe": 3}'])
def test_a_record_that_cannot_be_read_is_told(text):
    """A damaged cost.json is a sentence and no crash."""
    (_run() / "cost.json").write_text(text)
    assert _faults(_on_run()) == [
        f"sources.run.run: expected the record of a finished run, but found none that can be read in {RUN}."
    ]


def test_a_run_s_folder_with_braces_is_told():
    """Snakemake would take them for a wildcard."""
    assert "sources.run.run: expected a path without braces" in _faults(_on_run("a{b}"))[0]


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ({"unet": {"width": 8, "depth": 4}}, "unet of width 8 and depth 4"),
        ({"strategy": {"network": "resnet18"}}, "resnet18"),
    ],
)
def test_a_run_of_another_network_is_told(recipe, found):
    """I read which network is there, which is wanted, and what to make the same."""
    _run(recipe=RECIPE | recipe)
    assert _faults(_on_run()) == [
        "sources.run.run: expected the network of `strategies.further`, unet of width 16 and depth 4, but "
        f"found {found} in {RUN}; make `network` and `unet` the same."
    ]


@pytest.mark.parametrize("folder", [RUN, "results/before/sources/cells"])
@pytest.mark.parametrize("sheet", [False, True])
def test_a_run_on_images_of_the_study_is_refused(tmp_path, folder, sheet):
    """Whether these are listed in a sheet or lie in a folder, and however the run names them."""
    _run(folder, learned=("away/1.png", "other/../own/images/deep/1.PNG"))
    Path("all.csv").write_text("image,mask\nown/images/deep/1.PNG,own/masks/deep/1.PNG\n")
    changes = {"sheet": "all.csv", "images": None, "masks": None} if sheet else {}
    said = "expected a run on other images, but found one on images of this study; take another."
    assert _faults(_on_run(folder, **changes)) == [f"sources.run.run: {said}"]


def test_a_run_away_from_its_study_is_refused():
    """What it learned from cannot be seen."""
    _run()
    Path(RUN).rename("run")
    (fault,) = _faults(_on_run("run"))
    assert "but found no index.parquet in" in fault and fault.endswith("name the run where it was made.")


@pytest.mark.parametrize(("own", "other"), [(True, False), (False, True)])
def test_a_sheet_shares_no_image_with_a_source(own, other):
    """The study's sheet, or the source's, lists an image of the other."""
    Path("all.csv").write_text("image,mask\nown/images/deep/1.PNG,own/masks/deep/1.PNG\n")
    listed = {"sheet": "all.csv", "images": None, "masks": None}
    folders = {"images": "own", "masks": "other/masks"}
    study = _study(listed if own else {}, listed if other else folders)
    (fault,) = _faults(study)
    assert fault.startswith("sources.others: expected images that are not the study's own")
    Path("all.csv").write_text("image,mask\nother/images/deep/1.PNG,own/masks/deep/1.PNG\n")
    require(_study(listed if own else {}, listed if other else folders), demo=DEMO, cores=1)


def test_too_few_cores_and_no_gpu_are_told_as_a_job_tells_it(monkeypatch):
    """I learn before the first job what the last would have told me."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert _faults(_study({"threads": 4, "device": "cuda"}), cores=2) == [
        "config key `threads`: expected 4 threads a job, but found 2 granted. Start with `--cores 4` or "
        "more, or lower `threads` (runs start anew).",
        "config key `device`: expected a CUDA device, but found none visible. Set `device: cpu` or `auto`, "
        "or run where a GPU is.",
    ]


@pytest.mark.parametrize(("visible", "cores"), [("0", 4), ("", None)])
def test_cores_and_gpus_count_where_the_jobs_run(visible, cores, monkeypatch):
    """Enough of both passes; where jobs run elsewhere, what this machine has says nothing."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    require(_study({"threads": 4, "device": "cuda"}), demo=DEMO, cores=cores)


def test_a_cpu_study_needs_no_gpu(monkeypatch):
    """`auto` and `cpu` run anywhere."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for device in ("auto", "cpu"):
        require(_study({"device": device}), demo=DEMO, cores=1)


def test_all_that_is_missing_is_told_in_one_go():
    """I mend my folders once, not one by one."""
    faults = _faults(_study({"masks": "a", "threads": 2}, {"images": "b"}, weights="c"))
    keys = [fault.split(":")[0] for fault in faults]
    assert keys == ["masks", "sources.others.images", "sources.imagenet.weights, c", "config key `threads`"]


def test_room_for_shards_is_asked_of_the_disk(monkeypatch):
    """Of sizes that are declared, before anything is written."""
    study = _study({"resolutions": {"native": {"plan": "resize", "size": [40000, 40000]}}})
    require(study, demo=DEMO, cores=1, results=Path("results/small"))
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=2**30))
    with pytest.raises(ConfigError, match="1,024 MB in"):
        require(study, demo=DEMO, cores=1, results=Path("results/small"))
    with pytest.raises(ConfigError, match="one image in the frame of `native`"):
        require(study, demo=DEMO, cores=1, memory_mb=16000)
