"""The study, read once; which names a wildcard may take; what each stage is handed of the config."""

import functools
import itertools
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(str(workflow.current_basedir)).parent / "scripts"))

from stratagem.comparison.outlook import outlook
from stratagem.comparison.simulation import Shape
from stratagem.core.device import settle_device
from stratagem.core.errors import ConfigError
from stratagem.core.memory import total_mb
from stratagem.core.provenance import sources
from stratagem.data import raw
from stratagem.data.demo import DOMAINS
from stratagem.data.files import walk
from stratagem.study import needs, preflight, stored
from stratagem.study.call import read_call
from stratagem.study.declaration import DataSource, RunSource, WeightsSource
from stratagem.study.extent import units_tested
from stratagem.study.reading import read_study

walk_once = functools.cache(walk)  # a folder is walked once a call
ENVIRONMENT = "../envs/stratagem.yaml"
DEMO = "data/demo"
FOLDER = Path(str(workflow.current_basedir))
PLANS_JOBS = workflow.is_main_process  # else this is a job, on whatever machine
MACHINE_MB = total_mb()


def cores_here():
    """How many cores this call was given for its jobs; None where they run elsewhere."""
    if workflow.resource_settings.nodes is not None:
        return None
    cores = workflow.resource_settings.cores
    # A dry run without --cores is told 1, which is nobody's choice.
    return STUDY.threads if cores == 1 and workflow.output_settings.dryrun else cores


def surroundings():
    """What preflight holds a study against."""
    in_main_memory = cores_here() is not None and settle_device(STUDY.device) == "cpu"
    return {
        "demo": DEMO,
        "cores": cores_here(),
        "walk": walk_once,
        "memory_mb": MACHINE_MB if in_main_memory else None,
        "results": Path("results", STUDY.study),
    }


def refuse_study_files(words):
    """A study file in the place of a target: Snakemake would find that it is there, and do nothing."""
    given = [Path(path).absolute() for path in workflow.overwrite_configfiles]
    for before, word in itertools.pairwise(words):
        path = Path(word)
        named = path.suffix in (".yaml", ".yml") and path.is_file() and path.absolute() not in given
        if named and not before.startswith("-") and re.search("^strategies:", path.read_text(), re.MULTILINE):
            sys.exit(f"{word}: expected a target, but found a study file. Say --configfile {word}")


try:
    OWN, CALL = read_call(config, workflow.config_settings.config if PLANS_JOBS else None)
    STUDY = read_study(OWN)
    if PLANS_JOBS:  # a job need not look for what the call that started it has found
        preflight.require(STUDY, **surroundings())
except ConfigError as error:
    sys.exit(f"The study cannot be used:\n{error}")

if PLANS_JOBS:
    refuse_study_files(sys.argv)  # its targets are not known to the workflow yet
RESULTS = f"results/{STUDY.study}"
GPU = 1 if settle_device(STUDY.device) == "cuda" else 0

# Every data set, the study's own and those that sources learn from, goes through the same first stages.
DATASETS = {RESULTS: STUDY} | {
    f"{RESULTS}/sources/{name}": source
    for name, source in STUDY.sources.items()
    if isinstance(source, DataSource)
}
TAUGHT = [name for name, source in STUDY.sources.items() if isinstance(source, DataSource)]
FETCHED = [name for name in STUDY.sources if name not in TAUGHT]
SEEN = [name for name, source in STUDY.sources.items() if not isinstance(source, WeightsSource)]
TABLES = f"{RESULTS}/report/tables"
USED = sorted({strategy.augmentation for strategy in STUDY.strategies.values()} - {None})
RUNS = [
    (strategy, fold, seed)
    for strategy in STUDY.strategies
    for fold in range(STUDY.folds)
    for seed in STUDY.seeds
]


def one_of(names):
    """A wildcard constraint that only these names meet; none at all where there are none."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


wildcard_constraints:
    root=one_of(DATASETS),
    resolution=one_of(STUDY.resolutions),
    augmentation=one_of(STUDY.augmentations),
    source=one_of(STUDY.sources),
    strategy=one_of(STUDY.strategies),
    domain=one_of(DOMAINS),
    shard=one_of(range(STUDY.shards.files)),
    fold=one_of(range(STUDY.folds)),
    seed=one_of({*STUDY.seeds, *(STUDY.sources[name].seed for name in TAUGHT)}),


def targets():
    """What a plain `snakemake` makes: the report, every run, so that a deleted one is made again, and checks."""
    apart = [f"{RESULTS}/sources/{name}/overlap.json" for name in SEEN]
    return [f"{RESULTS}/report/report.html", *runs("model.safetensors"), *runs("evaluation.parquet"), *apart]


def runs(name, **where):
    """The path of one file of every run, or of the one named by its wildcards."""
    pattern = f"{RESULTS}/runs/{{strategy}}/fold{{fold}}/seed{{seed}}/{name}"
    if where:
        return pattern.format(**where)
    return [pattern.format(strategy=s, fold=f, seed=seed) for s, f, seed in RUNS]


def dataset(wildcards):
    """The part of the config that describes the data set of a root."""
    return DATASETS[wildcards.root]


def files_in(folder):
    """The image files of a folder."""
    return walk_once(folder).images


@functools.cache
def fingerprint_of(root):
    """A digest of a user's raw files, found once a call; the demo's files follow from their rule instead."""
    places = list(DATASETS[root].places)
    if any(map(is_demo, places)):
        return "demo"
    if PLANS_JOBS:
        return raw.found(places, Path(root), files_in, record=not workflow.dryrun)
    return raw.remembered(places, Path(root))


@functools.cache
def data_of(root):
    """The keys of a data set, as they were when it was indexed where only places or class names changed since."""
    data, digest = DATASETS[root].data, fingerprint_of(root)
    return data if digest == "demo" else raw.as_indexed(data, Path(root), digest)


def classes_of(root):
    """The names of the classes that jobs are given: a renamed class is no reason to train anew."""
    return list(data_of(root)["classes"])


def raw_inputs(wildcards):
    """What must be there before the index: the demo's folders, which a rule makes.

    A user's own folders count by their content (`files`), since moving or touching them is no change. Version
    0.2 named them as inputs: they stay where such an index has them, which else would be made anew.
    """
    places = list(dataset(wildcards).places)
    if any(map(is_demo, places)):
        return places
    return [ancient(place) for place in places] if raw.names_inputs(Path(wildcards.root)) else []


def is_demo(folder):
    """Whether a folder is made by this workflow itself."""
    return Path(folder).is_relative_to(DEMO)


def plan_of_strategy(wildcards):
    """The resolution plan of a strategy."""
    return f"{RESULTS}/resolutions/{STUDY.strategies[wildcards.strategy].resolution}/plan.json"


def training_inputs(root, resolution, augmentation, seed, storage="shards"):
    """The index, plan, shards (unless the images themselves are read) and manifest of one data set."""
    found = {
        "index": f"{root}/index.parquet",
        "plan": f"{root}/resolutions/{resolution}/plan.json",
    }
    if storage != "files":
        found["shards"] = f"{root}/resolutions/{resolution}/shards.parquet"
    if augmentation is not None:
        found["manifest"] = f"{root}/augmentations/{augmentation}/seed{seed}.parquet"
    return found


def pretrain_inputs(wildcards):
    """What teaching a source's U-Net reads."""
    source = STUDY.sources[wildcards.source]
    root = f"{RESULTS}/sources/{wildcards.source}"
    return training_inputs(root, source.resolution, source.augmentation, source.seed)


def train_inputs(wildcards):
    """What one run reads; a manifest and weights only where its strategy names them."""
    strategy = STUDY.strategies[wildcards.strategy]
    found = training_inputs(
        RESULTS, strategy.resolution, strategy.augmentation, wildcards.seed, strategy.loader.storage
    )
    found["splits"] = f"{RESULTS}/splits.parquet"
    if strategy.init is not None:
        found["weights"] = f"{RESULTS}/sources/{strategy.init.source}/model.safetensors"
    return found


def synthetic_inputs(wildcards):
    """What a run reads for its training images; a strategy without augmentation has no synthetic ones."""
    if STUDY.strategies[wildcards.strategy].augmentation is None:
        sys.exit(f"strategies.{wildcards.strategy}: without `augmentation` it is shown no synthetic image.")
    found = train_inputs(wildcards)
    found.pop("weights", None)
    return found


def weights_of(source):
    """The name, file or address of the weights of a source that is not taught."""
    chosen = STUDY.sources[source]
    return f"{chosen.run}/model.safetensors" if isinstance(chosen, RunSource) else chosen.weights


def local_file(weights):
    """The file as an input; none where it is no file, or was removed since (the script then says so)."""
    return [weights] if Path(weights).is_file() else []


def cost_of(source):
    """What teaching a source took; None where it is not known."""
    if source in TAUGHT:
        return f"{RESULTS}/sources/{source}/cost.json"
    chosen = STUDY.sources[source]
    return f"{chosen.run}/cost.json" if isinstance(chosen, RunSource) else None


def index_of_source(source):
    """The index of the images that a source's network learned from."""
    chosen = STUDY.sources[source]
    return f"{RESULTS}/sources/{source}/index.parquet" if source in TAUGHT else stored.index_of(chosen.run)


def start_of_source(source):
    """Where paths in that index start."""
    return "." if source in TAUGHT else str(stored.started_in(index_of_source(source)))


def copies_in(source):
    """The config key that says which images of a source count as copies of a test image, and its value."""
    if source in TAUGHT:
        return [f"sources.{source}.duplicates", STUDY.sources[source].duplicates]
    return ["duplicates", STUDY.duplicates]


def recipe(wildcards):
    """All that fixes one run beside its input files."""
    return recipe_of(wildcards.strategy, int(wildcards.fold), int(wildcards.seed))


@functools.cache
def recipe_of(strategy, fold, seed):
    """The same, as plain data."""
    return STUDY.run(strategy, fold, seed).model_dump(mode="json") | {"classes": classes_of(RESULTS)}


def code(*called, script):
    """The digest of a rule's code, as a parameter; with keep=code that which made the output, if it is there."""
    digest = sources(*called, script=script)

    def kept(wildcards):
        return recorded_code(own_rule(script), wildcards) or digest

    return kept if CALL.keep == "code" else digest


def own_rule(script):
    """The rule of this workflow that a script belongs to."""
    own = (one for one in workflow.rules if Path(str(one.snakefile)).parent == FOLDER)
    return next(one for one in own if Path(str(one.script)).name == script)


def recorded_code(one, wildcards):
    """The digest by which Snakemake recorded an output; None where it is not there, or must be made anew.

    Not by a parameter function's argument `output`: Snakemake would leave the parameter out of its records. The
    other parameters are those of now, else the job runs anyway, and by the code at hand.
    """
    made = one.output[0].apply_wildcards(wildcards)
    recorded = set(map(str, workflow.persistence.params(made) or []))
    others = (value for name, value in one.params.items() if name != "source")
    now = {repr(value(wildcards) if callable(value) else value) for value in others}
    if not Path(made).exists() or not now <= recorded:
        return None
    digests = (re.fullmatch("'([0-9a-f]{12})'", found) for found in recorded - now)
    return next((found[1] for found in digests if found), None)


def training_mb(wildcards, input, attempt):
    """What a job that trains asks for, in MB: more each time it failed."""
    need = needs.training_mb(recipe_for(wildcards), frames_of(input), STUDY.loader, on_gpu=bool(GPU))
    return need * attempt


def prediction_mb(wildcards, input, attempt):
    """What a job that tests asks for, in MB: more each time it failed."""
    return needs.prediction_mb(recipe_for(wildcards), frames_of(input), on_gpu=bool(GPU)) * attempt


def training_min(wildcards, input, attempt):
    """How many minutes a job that trains may take: more each time it failed."""
    return needs.training_min(recipe_for(wildcards), frames_of(input), on_gpu=bool(GPU)) * attempt


def prediction_min(wildcards, input, attempt):
    """How many minutes a job that tests may take: more each time it failed."""
    return needs.prediction_min(recipe_for(wildcards), frames_of(input), on_gpu=bool(GPU)) * attempt


def image_mb(images, masks):
    """What a job asks for that holds so many copies of an image and of its mask: more each time it failed."""
    return (
        lambda wildcards, input, attempt: needs.image_mb(frames_of(input), images=images, masks=masks)
        * attempt
    )


def image_min(wildcards, input, attempt):
    """How many minutes a job may take that reads every image: more each time it failed."""
    return needs.image_min(frames_of(input)) * attempt


def frames_of(input):
    """The frames of a job's images, as its inputs tell them."""
    plan, index = Path(input.plan), Path(input.index)
    return frames_read(plan, index, plan.stat().st_mtime_ns, index.stat().st_mtime_ns)


@functools.cache
def frames_read(plan, index, *changed):
    """The same, read once as long as the files do not change: many jobs ask, for memory and for minutes."""
    return needs.Frames.read(plan, index)


def more(amount):
    """An amount of MB or minutes of which a job gets more each time it failed."""
    return lambda wildcards, attempt: amount * attempt


def recipe_for(wildcards):
    """What a job trains, or has trained: a source, or a run."""
    if "source" in wildcards.keys():
        return STUDY.pretraining(wildcards.source)
    return STUDY.run(wildcards.strategy, int(wildcards.fold), int(wildcards.seed))


def bound_memory():
    """Jobs on this machine ask for no more together than it has; `--resources mem_mb=...` on the command line wins."""
    if cores_here() is not None and MACHINE_MB and "mem_mb" not in workflow.global_resources:
        workflow.register_resource("mem_mb", MACHINE_MB)


@functools.cache
def lineage(strategy):
    """What the input files of a strategy's runs are made from, for their record."""
    return STUDY.lineage(strategy) | {"files": fingerprint_of(RESULTS)}


def expected_runs():
    """Every run of the study, as it would be trained now."""
    return [
        stored.Expected(
            Path(runs("cost.json", strategy=s, fold=f, seed=seed)).parent, recipe_of(s, f, seed), lineage(s)
        )
        for s, f, seed in RUNS
    ]


def say_what_other_code_made():
    """Before anything starts: how many finished runs an upgrade makes anew, and how to keep them."""
    if not any(Path(RESULTS, "runs").glob("*/*/*/cost.json")):
        return
    other = list(stored.made_by_other_code(expected_runs(), sources("runs.train", script="train.py")))
    said = stored.told_of_other_code(other, kept=CALL.keep == "code")
    if said:
        print(said, file=sys.stderr)


@functools.cache
def expected_shape():
    """The seeds and units that will be compared, as far as the files tell; None where they do not."""
    found = units_tested(STUDY, Path(RESULTS, "index.parquet"), DEMO, files_in)
    return found and Shape(found[0], len(STUDY.seeds), found[1])


def at_once():
    """How many networks are trained side by side on this machine; None where jobs run elsewhere."""
    if cores_here() is None:
        return None
    gpus = workflow.global_resources.get("gpu")
    return (
        (gpus.value if gpus else 1)
        if GPU
        else max(1, min(cores_here(), os.cpu_count() or 1) // STUDY.threads)
    )


def say_what_is_left():
    """Before anything starts: how many runs are to be trained, and about how long that takes."""
    if not any(Path(RESULTS, "runs").glob("*/*/*/cost.json")) or CALL.keep == "code":
        return
    said = stored.told_of_runs_left(expected_runs(), sources("runs.train", script="train.py"), at_once())
    if said:
        print(said, file=sys.stderr)


def say_what_is_too_much():
    """Before anything starts: more cores than there are."""
    here = os.cpu_count() or 1
    if (cores_here() or 0) > here:
        print(
            f"--cores {cores_here()}: this machine has {here}. Jobs that share a core take longer, all together "
            f"no less; `--cores {here}` is as fast and takes less memory.",
            file=sys.stderr,
        )


def say_what_can_be_seen():
    """Before anything is trained: what a study of this size can see, where that is less than it is planned for."""
    if all(Path(cost).is_file() for cost in runs("cost.json")):
        return  # the page says it by the runs' own scatter
    shape = expected_shape()
    said = shape and outlook(shape, len(STUDY.references()), STUDY.report.effect)
    if said:
        print(said, file=sys.stderr)


if PLANS_JOBS:
    bound_memory()
    say_what_is_too_much()
    say_what_other_code_made()
    say_what_is_left()
    say_what_can_be_seen()
