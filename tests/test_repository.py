"""What stands in several places of the repository says the same everywhere."""

import ast
import re
import runpy
import sys
from pathlib import Path
from typing import get_args, get_origin

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from repository import PACKAGE, ROOT, all_modules
from stratagem.augmentation.presets import PRESETS
from stratagem.augmentation.transforms import TRANSFORMS
from stratagem.core.provenance import modules
from stratagem.evaluation.metrics import METRICS
from stratagem.resolution.plans import PLANS
from stratagem.study.declaration import Study, WeightsSource, schema
from stratagem.study.reading import read_study
from stratagem.training.losses import CLASS_WEIGHTS, LOSSES
from stratagem.transfer.freezing import FREEZES

MODULES = all_modules()
PATHS = {name: PACKAGE.joinpath(*name.split(".")).with_suffix(".py") for name in MODULES}
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
COMMANDS = [ROOT / "scripts" / "import_data.py"]  # a user starts it, no rule
SCRIPTS = sorted(set((ROOT / "scripts").glob("*.py")) - set(COMMANDS))
STUDIES = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]
PROFILES = ROOT / "profiles"
PARTS = [
    "input",
    "output",
    "log",
    "benchmark",
    "conda",
    "threads",
    "resources",
    "params",
    "message",
    "script",
]
USING = ["certify", "tables"]  # stored results, whatever made them
ABSENT = {"demo": {"input"}} | dict.fromkeys(USING, {"input", "output", "benchmark"})
ABSENT |= dict.fromkeys(["verify", "repair"], {"output", "benchmark"})
EXTRA = {"priority", "wildcard_constraints"}  # what a rule may say beside these
MADE = {".git", ".venv", ".venv-slurm", ".snakemake", ".ruff_cache", ".pytest_cache", ".hypothesis"}
MADE |= {"__pycache__", ".mypy_cache", "results"}  # by tools and by the workflow, not by hand


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _yaml(path: Path) -> dict:
    return yaml.safe_load(_text(path))


def _rules() -> dict[str, str]:
    """The text of each rule in rules/, by name."""
    texts = [_text(path) for path in sorted((ROOT / "rules").glob("*.smk"))]
    found = re.findall(r"^rule (\w+):\n((?:(?: .*)?\n)+)", "".join(texts), flags=re.MULTILINE)
    return dict(found)


RULES = _rules()


def _files():
    """Every file of the project that people or tools wrote to be kept."""
    waiting = [ROOT]
    while waiting:
        for path in waiting.pop().iterdir():
            made = path.name in MADE or path == ROOT / "data" or path.name.endswith(".egg-info")
            if path.is_dir() and not made:
                waiting.append(path)
            elif path.is_file():
                yield path


# The study: declared, explained, shipped


def _sections(annotation) -> list[type[BaseModel]]:
    """The declared sections that an annotation speaks of, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _declared(section: type[BaseModel], values: list[dict], place: str = ""):
    """Every key of a section and below: its place, its field, and whether a mapping sets it."""
    for name, field in section.model_fields.items():
        found = [value[name] for value in values if name in value]
        yield (place, name), field, bool(found)
        named = get_origin(field.annotation) is dict
        inner = [entry for value in found for entry in (value.values() if named else [value])]
        for below in _sections(field.annotation):
            yield from _declared(below, [one for one in inner if isinstance(one, dict)], name)


def test_the_schema_is_the_declaration_s():
    """schemas/study.schema.json is what `python -m stratagem.study.declaration` prints."""
    assert _text(ROOT / "schemas" / "study.schema.json") == schema()


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_that_is_shipped_is_a_good_one(path):
    """The default and each study in studies/ is read without a fault and fits the stored schema."""
    config = _yaml(path)
    study = read_study(config)
    jsonschema.validate(config, _yaml(ROOT / "schemas" / "study.schema.json"))
    assert study.study == ("demo" if path.stem == "config" else path.stem)


@pytest.mark.parametrize("path", STUDIES[1:], ids=lambda path: path.stem)
def test_a_study_file_says_how_to_run_itself(path):
    """The command in its head can be copied as it is."""
    assert f"--configfile studies/{path.name}" in _text(path)


def test_every_key_stands_in_the_default_study():
    """config.yaml is a manual: what can be set is set there, or explained in a comment."""
    text = _text(ROOT / "config.yaml")
    comments = " ".join(re.findall(r"#(.*)", text))
    keys = {place: used for place, _, used in _declared(Study, [_yaml(ROOT / "config.yaml")])}
    assert len(keys) > 60
    missing = [place for place, used in keys.items() if not used]
    assert {place for place in missing if not re.search(rf"\b{place[1]}\b", comments)} == set()
    assert ("sources", "weights") in missing  # a source of the other kind: `images` is shown
    own = {key for section, key in missing if section == "sources"}
    assert set(WeightsSource.model_fields) <= own and "images" not in own


def test_the_defaults_in_comments_are_the_declared_ones():
    """Where config.yaml says "default: 0.2", leaving the key out gives 0.2."""
    declared = {place: field for place, field, _ in _declared(Study, [])}
    above, checked = [], 0
    for line in _text(ROOT / "config.yaml").splitlines():
        found = re.match(r"( *)([a-z_]+):", line)
        if found is None:
            continue
        indent, key = len(found[1]), found[2]
        above = [(depth, name) for depth, name in above if depth < indent]
        told = re.search(r"#.*\bdefault: ([^;]+)", line)
        if told:
            place = next((name, key) for _, name in [*reversed(above), (0, "")] if (name, key) in declared)
            default = declared[place].default
            as_declared = yaml.safe_load if isinstance(default, bool) else type(default)
            assert str(default) == str(as_declared(told[1]) if default is not None else None) or (
                default is None and told[1] == "null"
            ), place
            checked += 1
        above.append((indent, key))
    assert checked > 25


# The environment


def test_the_environment_of_the_rules_is_the_lock_s():
    """envs/stratagem.yaml is what envs/from_lock.py makes of requirements.lock, and holds every pin."""
    lock = _text(ROOT / "requirements.lock")
    text = _text(ROOT / "envs" / "stratagem.yaml")
    assert text == runpy.run_path(str(ROOT / "envs" / "from_lock.py"))["environment"](lock)
    pins = yaml.safe_load(text)["dependencies"][-1]["pip"]
    pinned = [line.split("==")[0] for line in lock.splitlines() if "==" in line and line[:1].isalnum()]
    assert [pin.split("==")[0] for pin in pins] == pinned and len(pins) > 40


def test_the_lock_without_cuda_is_the_lock_s():
    """The same pins, but for torch, torchvision and what they need of CUDA."""
    lock, cpu = _text(ROOT / "requirements.lock"), _text(ROOT / "requirements-cpu.lock")
    assert cpu == runpy.run_path(str(ROOT / "envs" / "from_lock.py"))["without_cuda"](lock)
    pinned, left = (set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)) for text in (lock, cpu))
    apart = pinned - left
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= apart and left < pinned
    assert all(name.startswith(("torch", "triton", "cuda-", "nvidia-")) for name in apart)
    assert {"nvidia-ml-py", "sympy", "networkx"} <= left  # of the driver alone; what torch needs anyway


LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-cpu.lock", "requirements-slurm.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_with_digests_and_names_no_address(name):
    """Every package is pinned by version and hash; where it comes from is the user's own setting."""
    text = _text(ROOT / name)
    assert not re.search(r"https?:|--[a-z-]*(url|links)| @ ", text)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    for block in blocks:
        head = block.splitlines()[0]
        assert re.match(r"[a-z0-9][a-z0-9.-]*(\[[a-z0-9,-]+\])?==\S+", head), head
        assert "--hash=sha256:" in block, head


def _required(name: str) -> list[str]:
    lines = _text(ROOT / name).splitlines()
    return [re.match(r"[A-Za-z0-9-]+", line)[0] for line in lines if re.match(r"[A-Za-z0-9]", line)]


def test_every_dependency_has_its_reason():
    """docs/dependencies.md names each package that is asked for, and a lock pins it."""
    reasons = _text(ROOT / "docs" / "dependencies.md")
    for name in ("requirements", "requirements-dev"):
        lock = _text(ROOT / f"{name}.lock")
        for package in _required(f"{name}.in"):
            assert re.search(rf"^\|[^|]*\b{package}\b(?!-)[^|]*\|", reasons, flags=re.MULTILINE), package
            assert re.search(rf"^{package}==", lock, flags=re.MULTILINE), package


def test_what_the_project_imports_it_asks_for():
    """No package is used that only another one happens to bring."""
    paths = [*PACKAGE.rglob("*.py"), *SCRIPTS, *COMMANDS, *(ROOT / "envs").glob("*.py")]
    asked = {name.replace("-", "_") for name in _required("requirements.in")}
    known = {"cv2": "opencv_python_headless", "PIL": "pillow", "skimage": "scikit_image"}
    known["pynvml"] = "nvidia_ml_py"
    used = set()
    for path in paths:
        for node in ast.walk(ast.parse(_text(path))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                used.add(node.module.split(".")[0])
    foreign = {known.get(name, name) for name in used - set(sys.stdlib_module_names) - {"stratagem"}}
    assert foreign - asked == set()


# Rules and scripts


def test_each_rule_has_a_script_and_each_script_a_rule():
    """scripts/<rule>.py belongs to the rule of that name, and to no other."""
    assert sorted(RULES) == [path.stem for path in SCRIPTS]
    for name, text in RULES.items():
        assert re.search(r'script:\n +"(.*)"\n', text)[1] == f"../scripts/{name}.py"


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_every_part_in_the_usual_order(name):
    """Inputs, outputs, log, benchmark, environment, threads, resources, params, message, script."""
    text = RULES[name]
    assert re.search(r'^    message:\n        "[A-Z].*\."$', text, flags=re.MULTILINE)
    found = [part for part in re.findall(r"^    ([a-z_]+):", text, flags=re.MULTILINE) if part not in EXTRA]
    absent = set(PARTS) - set(found)
    assert absent <= ABSENT.get(name, set())
    assert found == [part for part in PARTS if part in found]


def _sources(rule: str) -> list[str]:
    """The modules whose digest a rule carries."""
    called = re.search(r"^        source=(?:code|sources)\((.*), script=.*\),$", rule, flags=re.MULTILINE)[1]
    return re.findall(r'"([\w.]+)"', called)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_names_environment_code_memory_and_time(name):
    """A cluster knows what to grant, and an edit of the code what to rerun."""
    text = RULES[name]
    assert re.search(r"^    conda:\n        ENVIRONMENT$", text, flags=re.MULTILINE)
    assert _sources(text) and set(_sources(text)) <= set(MODULES)
    resources = re.search(r"    resources:\n((?:        .*\n)+)", text)[1]
    assert "mem_mb=" in resources and "runtime=" in resources
    for part in {"log", "benchmark"} - ABSENT.get(name, set()):
        path = re.search(rf'^    {part}:\n +f?"(.*)"', text, flags=re.MULTILINE)[1]
        folder = {"log": "logs", "benchmark": "benchmarks"}[part]
        assert re.search(rf"/{folder}/{name}[/.-]", path), path


@pytest.mark.parametrize("name", sorted({*RULES} - {*USING}))  # these name stale runs by training's code
def test_the_code_a_rule_depends_on_is_what_its_script_calls(name):
    """The digest in a rule's params covers every module that its script imports."""
    covered = set().union(*map(modules, _sources(RULES[name])))
    called = set()
    for node in ast.walk(ast.parse(_text(ROOT / "scripts" / f"{name}.py"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("stratagem."):
            name = node.module.removeprefix("stratagem.")
            called |= {name} if name in MODULES else {f"{name}.{alias.name}" for alias in node.names}
    assert called, "a script calls the package"
    not_results = {"core.job", "core.device", "core.errors", "core.provenance"}
    assert {name for name in called - not_results if not name.startswith("study.")} <= covered


def test_a_gpu_is_asked_for_where_a_network_runs_and_nowhere_else():
    """Rules that take a device ask for one."""
    asks = {name for name, text in RULES.items() if "gpu=GPU" in text}
    takes = {path.stem for path in SCRIPTS if "device.granted(" in _text(path)}
    assert asks == takes == {"pretrain", "train", "evaluate"}


def test_scripts_and_the_front_door_are_thin():
    """A script is a handful of lines around one call, the Snakefile a table of contents."""
    assert {path.name for path in SCRIPTS if len(_text(path).splitlines()) >= 32} == set()
    assert len(_text(ROOT / "Snakefile").splitlines()) < 60
    for path in SCRIPTS:
        assert not any(
            isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.parse(_text(path)).body
        )


def test_the_front_door_includes_every_stage():
    """No file of rules is forgotten."""
    included = re.findall(r'^include: "rules/(.*)"', _text(ROOT / "Snakefile"), flags=re.MULTILINE)
    assert sorted(included) == sorted(path.name for path in (ROOT / "rules").glob("*.smk"))


def test_profiles_that_replace_the_default_repeat_its_triggers():
    """Without them Snakemake's own trigger would train everything again after a fresh checkout."""
    default, gpu = (_yaml(PROFILES / name / "config.yaml") for name in ("default", "gpu"))
    assert gpu["rerun-triggers"] == default["rerun-triggers"] and "code" not in default["rerun-triggers"]
    assert any(limit.startswith("gpu=") for limit in default["resources"])
    assert any(limit.startswith("gpu=") for limit in gpu["resources"])


# The package


def test_every_module_has_its_tests():
    """tests/ mirrors the package, one to one."""
    mirrored = {name: PATHS[name].relative_to(PACKAGE) for name in MODULES}
    assert {
        name
        for name, path in mirrored.items()
        if not (ROOT / "tests" / path.parent / f"test_{path.name}").is_file()
    } == set()


def test_no_module_imports_one_that_imports_it():
    """The package has floors: what stands below knows nothing of what stands above."""
    circles = {(a, b) for a in MODULES for b in modules(a) if a != b and a in modules(b)}
    assert circles == set()


@pytest.mark.parametrize("folder", PACKAGES[1:], ids=lambda path: path.name)
def test_a_package_says_what_comes_in_what_goes_out_and_what_it_may_import(folder):
    """Its docstring has the three; it hands on no name, so that digests do not spread through it."""
    tree = ast.parse(_text(folder / "__init__.py"))
    said = ast.get_docstring(tree)
    assert [line.split(":")[0] for line in said.splitlines()[2:] if ":" in line[:12]] == [
        "In",
        "Out",
        "Imports",
    ]
    assert len(tree.body) == 1


def test_the_package_never_imports_snakemake():
    """Everything can be used from Python without the workflow."""
    for name in MODULES:
        assert not re.search(r"^\s*(import|from) snakemake", _text(PATHS[name]), re.MULTILINE)


def _undocumented(path: Path):
    """What is public and says nothing of itself; anything of more than 60 lines too."""
    tree = ast.parse(_text(path))
    if not ast.get_docstring(tree):
        yield "the module"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not ast.get_docstring(node):
            public = node in tree.body and not node.name.startswith("_")
            if public or node.end_lineno - node.lineno >= 60:
                yield node.name


@pytest.mark.parametrize(
    "path", [*PATHS.values(), *SCRIPTS], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_everything_public_says_what_it_is(path):
    """Modules, their public classes and functions have a docstring; so has everything that is long."""
    assert list(_undocumented(path)) == []


def _constants_first(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("name", MODULES)
def test_the_public_names_of_a_module_are_there_and_sorted(name):
    """`__all__` lists what others may use; nothing in it is missing or private."""
    tree = ast.parse(_text(PATHS[name]))
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__"
    ]
    assert len(listed) == 1
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = (ast.Assign, ast.AnnAssign)
    named = [one for node in tree.body if isinstance(node, assigned) for one in ast.walk(node)]
    defined |= {one.id for one in named if isinstance(one, ast.Name)}
    assert set(listed[0]) <= defined and listed[0] == sorted(listed[0], key=_constants_first)
    assert not any(public.startswith("_") for public in listed[0])


def test_no_file_holds_a_path_of_somebody_s_machine():
    """What is written here works on any machine."""
    private = re.compile(r"(?<![\w.}/-])/(?:home|Users|root|work|mnt|scratch)/\w|[A-Z]:\\\\?Users")
    found = []
    for path in _files():
        if path.suffix in {".png", ".h5", ".safetensors", ".parquet"}:
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in lines if private.search(line)]
    assert found == []


@pytest.mark.parametrize(
    "axis",
    [METRICS, PLANS, LOSSES, CLASS_WEIGHTS, FREEZES, TRANSFORMS, PRESETS],
    ids=lambda axis: next(iter(axis)),
)
def test_the_manual_names_every_row_of_a_table(axis):
    """What a config may say stands in config.yaml or in the docs that it points to, each name of it."""
    text = _text(ROOT / "config.yaml") + "".join(_text(path) for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in axis if not re.search(rf"\b{re.escape(name)}\b", text)] == []
