"""The study: every key of the config declared once, with type, unit, default and meaning, and then frozen.

The JSON schema in `schemas/` is made from this declaration (``python -m stratagem.study.declaration``). How a
mapping becomes a study, and what is told where it cannot, is `stratagem.study.reading`'s.

A strategy is data: it names a resolution, an augmentation and a source, and sets its loader inline.
"""

import difflib
import json
import re
from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    Tag,
    WithJsonSchema,
    create_model,
    model_serializer,
    model_validator,
)

from stratagem.augmentation.presets import PRESETS
from stratagem.augmentation.transforms import TRANSFORMS, Strength
from stratagem.data.channels import COLOURS, MOST
from stratagem.evaluation.metrics import METRICS
from stratagem.networks.table import NETWORKS, UNET
from stratagem.resolution.plans import PLANS
from stratagem.training.losses import CLASS_WEIGHTS, LOSSES
from stratagem.transfer.freezing import FREEZES
from stratagem.transfer.origin import is_address, is_published

__all__ = [
    "HELD_MB",
    "PATTERNS",
    "PREDICTION_MB",
    "DataSet",
    "DataSource",
    "Delivery",
    "Init",
    "Recipe",
    "Resolution",
    "RunSource",
    "Section",
    "Strategy",
    "Study",
    "WeightsSource",
    "schema",
]

NAME = r"^[a-z0-9][a-z0-9-]*$"
DIGEST = r"^[0-9a-f]{64}$"
COLOUR = r"^#[0-9a-fA-F]{6}$"
NOT_BLANK = r"\S"
FIT = r"^(median|largest|p[1-9][0-9]?)$"
THAW = 0.5
PREDICTION_MB = 3000  # of main memory for a prediction, where the study states no bound
HELD_MB = 512  # of validation images, which are looked at again and again
Name = Annotated[str, StringConstraints(pattern=NAME)]
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
ClassName = Annotated[str, StringConstraints(pattern=NOT_BLANK)]
Classes = Annotated[tuple[ClassName, ...], Field(min_length=2)]
Colour = Annotated[str, StringConstraints(pattern=COLOUR)]
Channel = Annotated[int, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


def _network(given: str) -> str:
    if given in NETWORKS:
        return given
    close = difflib.get_close_matches(given, NETWORKS, n=3)
    hint = f"perhaps {', '.join(close)}" if close else "docs/transfer.md lists them"
    raise ValueError(f"expected {UNET} or a classifier of torchvision's, but found {given!r}; {hint}")


Network = Annotated[str, AfterValidator(_network)]

PATTERNS = {
    NAME: "a name of small letters, digits and hyphens, such as `my-study`",
    DIGEST: "64 digits and letters from 0-9 and a-f",
    COLOUR: "a colour such as `#00ff7f`",
    NOT_BLANK: "a name that is not blank",
    FIT: "`median`, `largest` or a percentile such as `p90`",
}


class Section(BaseModel):
    """A section of the config: unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _listed(given: Any) -> Any:
    """One code is short for a list of it."""
    return [given] if isinstance(given, int | str) else given


def _value_or_colour(given: Any) -> int | str | None:
    number = isinstance(given, int) and not isinstance(given, bool)
    if given is None or number or (isinstance(given, str) and re.match(COLOUR, given)):
        return given
    raise ValueError(f"expected a whole number or {PATTERNS[COLOUR]}, but found {given!r}")


Side = Annotated[int, Field(ge=1)]
Codes = Annotated[tuple[int, ...], BeforeValidator(_listed, json_schema_input_type=int | tuple[int, ...])]
Colours = Annotated[
    tuple[Colour, ...], BeforeValidator(_listed, json_schema_input_type=Colour | tuple[Colour, ...])
]
ValueOrColour = Annotated[
    Any,
    AfterValidator(_value_or_colour),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": COLOUR}, {"type": "null"}]}),
]

# Which keys belong to which plan, to which encoding, beside those that belong to all.
PLAN_KEYS = {name: set(kind.keys) for name, kind in PLANS.items()}
LABEL_KEYS = {
    "auto": set(),
    "indices": set(),
    "binary": {"threshold", "inverted"},
    "values": {"values"},
    "colours": {"colours"},
    "instances": {"border", "threshold", "background"},
    "overlay": {"colours"},
}


def _refuse_foreign(section: Section, kind: str, keys: dict[str, set], key: str, common: set) -> None:
    foreign = section.model_fields_set - keys[kind] - common
    if foreign:
        name = sorted(foreign)[0]
        owners = ", ".join(f"`{owner}`" for owner, own in keys.items() if name in own)
        raise ValueError(f"`{name}` belongs to the {key} {owners}, not to `{kind}`")


class Split(Section):
    """How the samples are divided into training, validation and test images."""

    seed: Seed = Field(0, description="Fixes which images are in which part; not the training.")
    test: Share = Field(0.2, lt=1, description="Share of the groups tested, where `folds` is 1.")
    validation: Share = Field(0.15, lt=1, description="Share of the groups that draw the curves.")
    group: str | None = Field(
        None,
        description="Regular expression over the sample's name; samples with the same match (its first "
        "bracket, if any) never straddle two parts. Without it each image is a group of its own.",
    )
    part: str | None = Field(
        None,
        description="Regular expression over the sample's name that gives its part (train, val, test), for "
        "a data set that comes divided; a sheet's column `part` does the same.",
    )
    blocks: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None,
        description="Rows and columns of blocks that each image is divided into, a sample and a group each, "
        "where a few large scenes are all there is.",
    )
    gap: int = Field(0, ge=0, description="Of `blocks`: pixels between two blocks, which belong to none.")

    @model_validator(mode="after")
    def _gap_of_blocks(self) -> "Split":
        if self.gap and self.blocks is None:
            raise ValueError("`gap` belongs to `blocks`; set them, or leave it out")
        return self


class Budget(Section):
    """What every strategy may use: exactly one of the two."""

    images: int | None = Field(None, ge=1, description="Images seen in training, repeats counted.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        if (self.images is None) == (self.steps is None):
            raise ValueError("set exactly one of `images` and `steps`")
        return self

    def share(self, part: float) -> "Budget":
        """A part of it, one image or step at least."""
        return Budget(**{unit: max(1, round(part * count)) for unit, count in self if count is not None})


class UnetSection(Section):
    """The size of the classic U-Net."""

    width: int = Field(16, ge=1, description="Channels of the first level; each level doubles them.")
    depth: int = Field(4, ge=1, le=6, description="How often the image is halved.")


class Training(Section):
    """What the train loop needs, the same for every strategy unless one says otherwise."""

    loss: Literal[tuple(LOSSES)] = Field(  # type: ignore[valid-type]
        "cross-entropy-dice", description=f"What is made small. {LOSSES.described()}"
    )
    class_weights: Literal[tuple(CLASS_WEIGHTS)] = Field(  # type: ignore[valid-type]
        "none", description=f"What each class weighs in the loss. {CLASS_WEIGHTS.described()}"
    )
    learning_rate: float = Field(
        1e-3,
        gt=0,
        description="AdamW's peak rate at batch size 16; at batch size B it is times sqrt(B / 16).",
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled weight decay.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the budget with a rising rate.")
    validations: int = Field(10, ge=1, description="How often, at equal shares, curves are taken.")
    micro_batch_pixels: int = Field(
        262144,
        ge=1,
        description="Pixels that pass the network at once; a larger batch is split and its gradients "
        "summed, which bounds memory (and on a CPU is faster) and changes nothing else.",
    )
    memory_mb: int | None = Field(
        None,
        ge=1,
        description="What a job on a CPU may hold; batches, and held-out images, pass in smaller parts to "
        "stay below. Without it nothing bounds training, and 3000 prediction. On a GPU its own memory is the "
        "bound.",
    )

    @property
    def prediction_mb(self) -> int:
        """What a prediction on a CPU may hold."""
        return self.memory_mb or PREDICTION_MB

    @model_serializer(mode="wrap")
    def _without_new_defaults(self, written: SerializerFunctionWrapHandler) -> dict:
        """Keys that came after 0.2 are written where they are set, so that older runs need not train anew."""
        record = written(self)
        added = {name: type(self).model_fields[name].default for name in ("loss", "class_weights")}
        return {key: value for key, value in record.items() if key not in added or value != added[key]}


class Labels(Section):
    """How the values or colours of mask files become classes."""

    encoding: Literal["auto", "indices", "binary", "values", "colours", "instances", "overlay"] = Field(
        "auto",
        description="auto: recognised on the whole set, or a question where two readings are possible. "
        "indices: the value is the class. binary: 0 and 255. values, colours: as listed. instances: each "
        "object has a number. overlay: colours painted over a copy of the image.",
    )
    values: dict[str, Codes] = Field({}, description="Class: value or values; of `values`.")
    colours: dict[str, Colours] = Field(
        {}, description="Class: colour or colours (#rrggbb); of `colours` and `overlay`."
    )
    ignore: ValueOrColour = Field(
        None, description="The value or colour that counts nowhere; of `indices` 255 unless said otherwise."
    )
    threshold: int | float | None = Field(
        None,
        gt=0,
        description="From this value on it is foreground (grey edges, JPEG); of `binary`, and of `instances` "
        "with a file an object.",
    )
    inverted: bool = Field(False, description="Of `binary`: the lower values are foreground.")
    border: str | None = Field(None, description="Of `instances`: the class of an object's outermost pixels.")
    background: int = Field(0, description="Of `instances`: the number that is no object.")

    @model_validator(mode="after")
    def _own_keys(self) -> "Labels":
        _refuse_foreign(self, self.encoding, LABEL_KEYS, "encoding", {"encoding", "ignore"})
        missing = {"values", "colours"} & LABEL_KEYS[self.encoding] - self.model_fields_set
        if missing:
            raise ValueError(f"`{self.encoding}` needs `{missing.pop()}`")
        return self

    @property
    def named(self) -> dict[str, str]:
        """The classes that it names, by the key that does."""
        found = {name: "values" for name in self.values} | {name: "colours" for name in self.colours}
        return found | ({self.border: "border"} if self.border else {})


def _from_word(given: Any) -> Any:
    """`labels: auto` is short for `labels: {encoding: auto}`."""
    return {"encoding": given} if isinstance(given, str) else given


LabelsOrWord = Annotated[Labels, BeforeValidator(_from_word, json_schema_input_type=Labels | str)]


class Resolution(Section):
    """How images of many sizes are brought into the network's frame."""

    plan: Literal[tuple(PLANS)] = Field(  # type: ignore[valid-type]
        description=f"{PLANS.described()} All are filled up to the stride, and brought back to the image's "
        "own size."
    )
    size: tuple[Side, Side] | None = Field(None, description="Height and width in pixels.")
    fit: Annotated[str, StringConstraints(pattern=FIT)] | None = Field(
        None,
        description="Without `size`, how it is fitted on the set: median, largest, or a percentile such as "
        "p90; default: median, of `pad` largest.",
    )
    max_pixels: int | None = Field(
        None, ge=1, description="A fitted size of more pixels is shrunk to this: a bound of memory."
    )
    buckets: int = Field(4, ge=1, le=64, description="Of `bucket`: how many frames at most.")
    overlap: float = Field(0.25, ge=0, lt=1, description="Of `tile`, `patches`: share of the side, at least.")
    foreground: float = Field(
        0.33,
        ge=0,
        le=1,
        description="Of `patches`: share of the windows that hold a pixel of a foreground class; of those in "
        "the image each equally often.",
    )
    pixel_size: float | None = Field(
        None, gt=0, description="Of `rescale`: in the unit of the sheet's column; default: the median."
    )
    fill: Literal["constant", "reflect", "edge"] = Field(
        "constant", description="What images are filled up with; never counts in loss or scores."
    )
    mask: Literal["nearest", "area"] = Field(
        "nearest", description="Label of a resampled pixel: the nearest, or the one that covers most of it."
    )

    @property
    def options(self) -> dict:
        """Its plan's own keys, as plain data."""
        return self.model_dump(mode="json", include=PLAN_KEYS[self.plan] | {"plan", "fill"})

    @model_validator(mode="after")
    def _own_options(self) -> "Resolution":
        _refuse_foreign(self, self.plan, PLAN_KEYS, "plan", {"plan", "fill"})
        if self.size is not None and {"fit", "max_pixels"} & self.model_fields_set:
            raise ValueError("`fit` and `max_pixels` are of a size that is fitted; leave out `size`, or them")
        return self


class _Augmentation(Section):
    """What each synthetic image may differ in; what is left out is off."""

    variants: int = Field(
        50, ge=1, description="Synthetic images an original; epoch e takes variant e modulo this."
    )
    preset: Literal[tuple(PRESETS)] | None = Field(  # type: ignore[valid-type]
        None, description="A policy for a domain to begin with; the keys beside it replace its own."
    )

    @model_serializer
    def policy(self) -> dict:
        """All that a manifest depends on, as plain data: see `stratagem.augmentation.transforms.Policy`."""
        strengths = dict(PRESETS[self.preset].strengths) if self.preset else {}
        for name in self.model_fields_set & set(TRANSFORMS):
            own = getattr(self, name)
            strengths[name] = own and Strength(getattr(own, "range", 1.0), own.probability)
        on = {name: asdict(strengths[name]) for name in TRANSFORMS if strengths.get(name)}
        return {"variants": self.variants, "strengths": on}


def _transform_key(name: str) -> tuple[Any, Any]:
    """Type and default of a transform's key: a number, a range with a probability, or `off`."""
    transform = TRANSFORMS[name]
    low, high = transform.limits
    often = Field(transform.probability or ..., description="How often it does anything.")
    fields: dict[str, Any] = {"probability": (Probability, often)}
    if transform.probability is not None:
        fields["range"] = (Annotated[float, Field(ge=low, le=high, description=transform.description)], ...)
    section = create_model(f"Transform_{name}", __base__=Section, __doc__=transform.description, **fields)
    short = "probability" if transform.probability is None else "range"

    def expanded(given: Any) -> Any:
        if given is False:  # what YAML makes of `off`
            return None
        return {short: given} if isinstance(given, int | float) else given

    kind = Annotated[
        section | None, BeforeValidator(expanded, json_schema_input_type=section | float | bool | None)
    ]
    return kind, Field(None, description=transform.description)


_TRANSFORM_KEYS: dict[str, Any] = {name: _transform_key(name) for name in TRANSFORMS}
Augmentation = create_model(
    "Augmentation", __base__=_Augmentation, __doc__=_Augmentation.__doc__, **_TRANSFORM_KEYS
)


class DataSet(Section):
    """Images with their masks: in two folders, or listed in a sheet."""

    images: str | None = Field(None, description="Folder of images, searched with its subfolders.")
    masks: str | None = Field(None, description="Folder of masks; may be the same.")
    image_name: str = Field(
        "{stem}", description="An image's name, where it has a part that its mask's has not: {stem}_sat."
    )
    mask_name: str = Field(
        "{stem}",
        description="A mask's name: {stem} is its image's stem, * behind it anything; several masks of one "
        "image are united as objects. The extension may be left out.",
    )
    sheet: str | None = Field(
        None,
        description="Instead of the folders a CSV file with the columns image, mask, and as far as known "
        "group, part (train, val, test) and pixel_size; paths from its own folder.",
    )
    classes: Classes = Field(description="Class names by index; 0 is background.")
    labels: LabelsOrWord = Field(Labels(), description="How masks are encoded.")
    mask_size: Literal["same", "resize"] = Field(
        "same", description="resize: a mask of another size is brought to its image's."
    )
    pages: Literal["samples", "channels"] | None = Field(
        None,
        description="What the pages of a file are: samples, each with its mask's page, or channels of one "
        "image. Without it the study stops and asks where files have several.",
    )
    duplicates: Annotated[
        Literal["near", "exact", "off"],
        BeforeValidator(
            lambda given: "off" if given is False else given,  # what YAML makes of `off`
            json_schema_input_type=Literal["near", "exact", "off", False],
        ),
    ] = Field(
        "near",
        description="Images that count as one in the split and in comparisons: the same picture, also "
        "stored another way; the same pixels alone; none.",
    )
    swaps: tuple[tuple[str, str], ...] = Field(
        (),
        description="Pairs of classes that are each other's mirror image; a mirrored image exchanges them.",
    )
    handed: tuple[str, ...] = Field(
        (), description="Classes that a mirror turns into none of the others: flips are refused."
    )
    upright: tuple[str, ...] = Field(
        (), description="Classes that have an up: vertical flips, turns and large rotations are refused."
    )
    channels: dict[str, Channel] | tuple[Channel, ...] | None = Field(
        None,
        description="Which channels of the images to use, from 0, at most 32: a list, or names with numbers; "
        "default: all. One is grey, a list of three is red, green, blue, others are no colours.",
    )
    levels: tuple[float, float] | None = Field(
        None,
        description="What becomes 0 and 255 in images of more than 8 bits; default: the 0.1 and 99.9 "
        "percentiles of the set, of each channel for itself where channels are no colours.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "DataSet":
        folders = {self.images, self.masks} - {None}
        if self.sheet is not None and folders:
            raise ValueError("set `sheet`, or `images` and `masks`, not both")
        if self.sheet is None and (self.images is None or self.masks is None):
            raise ValueError("set `images` and `masks`, or `sheet`")
        before, *rest = self.mask_name.split("{stem}")
        if len(rest) != 1 or "*" in before:
            raise ValueError(
                "`mask_name` needs {stem} once, in the place of the image's name, and * behind it"
            )
        if self.image_name.count("{stem}") != 1 or "*" in self.image_name or "/" in self.image_name:
            raise ValueError("`image_name` needs {stem} once, in the place of what the mask's name shares")
        if len(folders) == 1 and self.mask_name == self.image_name and self.sheet is None:
            raise ValueError(
                "`images` and `masks` are one folder; say in `mask_name` how a mask's name differs"
            )
        if self.levels is not None and self.levels[0] >= self.levels[1]:
            raise ValueError("`levels` are a low and a higher intensity")
        if self.channels is not None and not 1 <= len(self.channels) <= MOST:
            raise ValueError(f"`channels` are 1 to {MOST}")
        return self

    @property
    def data(self) -> dict:
        """The keys that say where its files are and how they are read, as plain data."""
        keys = set(DataSet.model_fields) - {"swaps", "handed", "upright"}  # those decide no reading
        record = self.model_dump(mode="json", include=keys, exclude_none=True)
        if self.channels is not None:
            record["channels"] = list(self.numbers)
            record |= {"apart": True} if isinstance(self.channels, dict) else {}
        # Keys that came after 0.2 are written where they are set, so that older runs need not train anew.
        added = {"image_name": "{stem}", "duplicates": "near"}
        return {key: value for key, value in record.items() if value != added.get(key)}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those of the channels that are named; none where all are used."""
        given = self.channels or ()
        return tuple(given.values()) if isinstance(given, dict) else given

    @property
    def may_be_colour(self) -> bool:
        """Whether the channels may be colours or grey: not where they have names, or are others."""
        return not isinstance(self.channels, dict) and len(self.numbers) in (0, 1, COLOURS)

    @property
    def places(self) -> tuple[str, ...]:
        """The folders or the sheet."""
        if self.sheet is not None:
            return (self.sheet,)
        assert self.images is not None and self.masks is not None
        return self.images, self.masks


class DataSource(DataSet):
    """A U-Net taught on another data set."""

    resolution: Name = Field(description="A name under `resolutions`, fitted on this source's sizes.")
    augmentation: Name | None = Field(None, description="A name under `augmentations`.")
    batch_size: int = Field(16, ge=1, description="Images a step.")
    budget: Budget = Field(description="What the pretraining may use.")
    seed: Seed = Field(0, description="Fixes the source's initial weights, order and augmentation.")


class WeightsSource(Section):
    """Weights by name, from a file or from an address."""

    weights: str = Field(
        description="A name of torchvision's for weights of `network`, such as DEFAULT; or a .safetensors or "
        ".pth file, or an http(s) address of one."
    )
    sha256: str | None = Field(
        None, pattern=DIGEST, description="Digest of the file; required for an address."
    )
    network: Network | None = Field(
        None,
        description="What they belong to: unet, or a classifier. Needed where `weights` is a name; else what "
        "the strategy has.",
    )

    @model_validator(mode="after")
    def _digest_where_it_belongs(self) -> "WeightsSource":
        if is_address(self.weights) and self.sha256 is None:
            raise ValueError("`sha256` is required where `weights` is an address")
        if is_published(self.weights) and self.sha256 is not None:
            raise ValueError(
                f"`sha256` is of a file or an address; the weights `{self.weights}` bring their own"
            )
        if is_published(self.weights) and self.network in (None, UNET):
            raise ValueError(
                f"`weights: {self.weights}` is a name of a classifier's weights; set `network` to it"
            )
        return self


class RunSource(Section):
    """The network that a run of another study ended with."""

    run: str = Field(
        description="Its folder: results/<study>/runs/<strategy>/fold<fold>/seed<seed>, or that of a source "
        "which it taught: results/<study>/sources/<source>."
    )


def _kind_of_source(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((key for key in ("weights", "run") if key in given), "data")


SOURCES: dict[str, type[Section]] = {"data": DataSource, "weights": WeightsSource, "run": RunSource}
Source = Annotated[
    Annotated[DataSource, Tag("data")]
    | Annotated[WeightsSource, Tag("weights")]
    | Annotated[RunSource, Tag("run")],
    Discriminator(_kind_of_source),
]


class Init(Section):
    """Where the first weights come from, and which of them learn."""

    source: Name = Field(description="A name under `sources`.")
    freeze: Literal[tuple(FREEZES)] = Field(  # type: ignore[valid-type]
        "none", description=f"What stays as it was taken. {FREEZES.described()}"
    )
    thaw: Share = Field(THAW, description="Of `gradual`: share of the budget after which all are open.")
    rate: float = Field(1.0, gt=0, description="The layers that were taken learn at this times the rate.")

    @model_validator(mode="after")
    def _own_keys(self) -> "Init":
        if self.freeze != "gradual" and self.thaw != THAW:
            raise ValueError(f"`thaw` belongs to `freeze: gradual`, not to `{self.freeze}`")
        return self


class LoaderSection(Section):
    """Which training images reach the network, from where and in which order."""

    fraction: Share = Field(1.0, description="Share of the training images used, drawn per seed.")
    storage: Literal["shards", "memory", "files"] = Field(
        "shards",
        description="shards: read on demand. memory: all held in memory. files: the images themselves, "
        "brought into the frame at each read; no shards are made for it.",
    )
    batch_size: int = Field(16, ge=1, description="Images a step; mixed sizes batch by equal size.")
    window: int | None = Field(
        None,
        ge=1,
        description="Images are moved by less than this from where they lie on disk, for disks that read "
        "far apart slowly; without it all are mixed with all.",
    )
    balance: Literal["none", "class", "size"] = Field(
        "none",
        description="class: every class is shown equally often, so that a rare one is seen. size: every "
        "size is (areas of one power of two). none: every image once an epoch.",
    )
    last: Literal["fill", "keep", "drop"] = Field(
        "fill",
        description="Images that fill no batch at an epoch's end: fill: go into the next one's first (of "
        "mixed sizes: as keep). keep: make smaller batches. drop: are not shown.",
    )

    @model_validator(mode="after")
    def _classes_are_known(self) -> "LoaderSection":
        if self.storage == "files" and self.balance == "class":
            raise ValueError("`balance: class` needs shards, which know the classes of every image")
        return self


class Delivery(Section):
    """How batches are made, of all strategies: changes speed and memory, and no result."""

    workers: int = Field(1, ge=0, description="Threads that make batches ahead; 0: made when asked for.")
    memory_mb: int = Field(
        1024, ge=1, description="What a loader may hold: samples in memory, and batches made ahead."
    )
    read: Literal["auto", "map", "positioned"] = Field(
        "auto",
        description="map: shards are mapped into memory. positioned: read by position. auto: mapped "
        "unless they lie on a networked disk.",
    )
    verify: bool = Field(True, description="Compare each sample's checksum when it is first read.")

    @classmethod
    def granted(cls, resources: Any) -> "Delivery":
        """From the resources of a job: as params they would train anew what they cannot change."""
        return cls(
            workers=resources.workers,
            memory_mb=resources.loader_mb,
            read=resources.read,
            verify=bool(resources.verify),
        )


class ShardsSection(Section):
    """The HDF5 files of a resolution."""

    files: int = Field(4, ge=1, description="How many, one job each.")
    compression: Literal["none", "lz4", "zstd"] = Field(
        "none", description="For slow or networked disks: lz4 unpacks faster, zstd packs smaller."
    )


def _from_number(given: Any) -> Any:
    """`shards: 4` is short for `shards: {files: 4}`."""
    return {"files": given} if isinstance(given, int) and not isinstance(given, bool) else given


ShardsOrNumber = Annotated[
    ShardsSection, BeforeValidator(_from_number, json_schema_input_type=ShardsSection | int)
]


class Strategy(Section):
    """One way to train: what it names differs from the baseline, all else is shared."""

    resolution: Name = Field(description="A name under `resolutions`.")
    augmentation: Name | None = Field(None, description="A name under `augmentations`.")
    init: Init | None = Field(None, description="Transfer; without it weights start at random.")
    loader: LoaderSection = Field(LoaderSection(), description="Which images, from where, in which order.")
    network: Network = Field(
        UNET,
        description="unet: the classic one. Else a classifier of torchvision's, such as resnet18: a U-Net "
        "on its encoder.",
    )
    learning_rate: float | None = Field(None, gt=0, description="Instead of the common rate.")
    budget_share: Share = Field(1.0, description="Of the study's budget, for curves over budgets.")
    reference: Name | None = Field(
        None,
        description="The strategy it is compared with; without it `report.baseline`, and where a "
        "classifier's weights are taken a control, the same with random ones.",
    )
    compared: bool = Field(True, description="false: it only serves others as their reference.")

    @model_validator(mode="after")
    def _reference_of_a_comparison(self) -> "Strategy":
        if self.reference is not None and not self.compared:
            raise ValueError("`compared: false` is compared with nothing; leave out `reference`")
        return self


class Report(Section):
    """What the comparison decides and the report shows."""

    baseline: Name = Field("baseline", description="The strategy that others are compared with.")
    metric: Literal[tuple(METRICS)] = Field(  # type: ignore[valid-type]
        "dice", description="Primary endpoint: per image, mean over foreground classes present."
    )
    margin: float = Field(
        0.01, ge=0, lt=1, description="Differences within plus or minus this are no difference."
    )
    effect: float = Field(
        0.03, gt=0, lt=1, description="The effect that the report says what it takes to see; decides nothing."
    )
    score_background: bool = Field(
        False, description="Whether class 0 is scored like the others, where it is a class and no ground."
    )
    examples: int = Field(4, ge=0, description="Test images shown with truth and predictions.")


class Recipe(Section):
    """All that fixes one training run beside its input files: what a training job is told."""

    name: str = Field(description="Of the strategy or the source.")
    strategy: Strategy
    fold: int
    seed: int
    classes: Classes
    swaps: tuple[tuple[int, int], ...]
    budget: Budget
    training: Training
    unet: UnetSection
    threads: int
    deterministic: bool = False


class Study(DataSet):
    """One study: data, strategies, and how they are compared."""

    study: Name = Field(description="Its name; all outputs stand in results/<study>/.")
    bad_samples: Literal["stop", "skip"] = Field(
        "stop", description="What to do where samples cannot be used; all are listed either way."
    )
    split: Split = Field(Split(), description="Parts and groups.")
    folds: int = Field(1, ge=1, description="1: one split; k: k-fold cross-validation.")
    seeds: tuple[Seed, ...] = Field(
        min_length=1,
        description="Each trains every strategy once; one gives no interval, unless there are folds.",
    )
    budget: Budget = Field(description="What each run may use, the same for all.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks run.")
    threads: int = Field(1, ge=1, description="Threads of a training job; part of its result.")
    deterministic: bool = Field(
        False, description="On a GPU, only kernels that give the same bits again; a CPU always does."
    )
    record_every_s: float = Field(
        300,
        ge=0,
        description="Seconds between two records of a run's state, from which it goes on if it is killed.",
    )
    shards: ShardsOrNumber = Field(ShardsSection(), description="The HDF5 files of each resolution.")
    loader: Delivery = Field(Delivery(), description="How batches are made.")
    unet: UnetSection = Field(UnetSection(), description="The classic U-Net's size.")
    training: Training = Field(Training(), description="The train loop.")
    resolutions: dict[Name, Resolution] = Field(min_length=1, description="Plans by name.")
    augmentations: dict[Name, Augmentation] = Field({}, description="Policies by name.")
    sources: dict[Name, Source] = Field({}, description="Sources of weights by name.")
    strategies: dict[Name, Strategy] = Field(min_length=1, description="What is compared.")
    report: Report = Field(Report(), description="Endpoint, margin and pictures.")

    @property
    def data(self) -> dict:
        """The keys that say where its files are, how they are read and divided, as plain data."""
        blocks = self.split.blocks
        return super().data | ({"blocks": [*blocks, self.split.gap]} if blocks else {})

    def stride(self, resolution: str) -> int:
        """Pixels: what a frame's sides are multiples of, for all networks that use the resolution."""
        users = [strategy for strategy in self.strategies.values() if strategy.resolution == resolution]
        networks = {UNET, *(strategy.network for strategy in users)}
        return max(NETWORKS[network].stride(self.unet.depth) for network in networks)

    def run(self, strategy: str, fold: int, seed: int) -> Recipe:
        """The recipe of one run of a strategy."""
        chosen = self.strategies[strategy]
        return self._recipe(strategy, chosen, fold, seed, self, self.budget.share(chosen.budget_share))

    def pretraining(self, name: str) -> Recipe:
        """The recipe that teaches a source's U-Net: all its images, at its own budget."""
        source = cast(DataSource, self.sources[name])
        strategy = Strategy(
            resolution=source.resolution,
            augmentation=source.augmentation,
            loader=LoaderSection(batch_size=source.batch_size),
        )
        return self._recipe(name, strategy, 0, source.seed, source, source.budget)

    def _recipe(self, name, strategy, fold, seed, data, budget) -> Recipe:
        shared = {"training": self.training, "unet": self.unet, "threads": self.threads}
        shared |= {"deterministic": self.deterministic}
        pairs = data.swaps if strategy.augmentation else ()
        return Recipe(
            name=name,
            # What it is compared with decides no training.
            strategy=strategy.model_copy(update={"reference": None, "compared": True}),
            fold=fold,
            seed=seed,
            classes=data.classes,
            swaps=[tuple(map(data.classes.index, pair)) for pair in pairs],
            budget=budget,
            **shared,
        )

    def lineage(self, strategy: str) -> dict:
        """What the input files of a strategy's runs are made from, as plain data, for the record."""
        chosen = self.strategies[strategy]
        parts = {
            "resolution": self.resolutions[chosen.resolution],
            "augmentation": self.augmentations.get(chosen.augmentation) if chosen.augmentation else None,
            "source": self.sources.get(chosen.init.source) if chosen.init else None,
            "split": self.split,
        }
        record = {key: part.model_dump(mode="json") if part else None for key, part in parts.items()}
        policy = record["augmentation"]
        if policy:  # as the config has it, since the record is held against it
            record["augmentation"] = policy.pop("strengths") | policy
        return record | {"folds": self.folds}

    def arms(self) -> dict[str, tuple[str, float]]:
        """Of each strategy that starts from other weights, its arm and its share of the budget.

        An arm is named by the first strategy of those that differ in nothing but the share of the images and
        of the budget.
        """
        apart: dict[str, Any] = {
            "reference": True,
            "compared": True,
            "budget_share": True,
            "loader": {"fraction"},
        }
        firsts: dict[str, str] = {}
        return {
            name: (firsts.setdefault(strategy.model_dump_json(exclude=apart), name), strategy.budget_share)
            for name, strategy in self.strategies.items()
            if strategy.init is not None
        }

    def reference(self, strategy: str) -> str | None:
        """The strategy that this one is compared with; None for the baseline and those that only serve."""
        chosen = self.strategies[strategy]
        if strategy == self.report.baseline or not chosen.compared:
            return None
        return chosen.reference or self.report.baseline

    def references(self) -> dict[str, str]:
        """The reference of each strategy that is compared, by strategy."""
        found = {name: self.reference(name) for name in self.strategies}
        return {name: reference for name, reference in found.items() if reference is not None}


def schema() -> str:
    """The JSON schema of a study, as text that ends with a newline."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema()
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
