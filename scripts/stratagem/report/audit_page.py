"""The page about augmentations: what each transform does to the data, with pictures."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stratagem.augmentation.audit import UNLIKE
from stratagem.augmentation.presets import PRESETS
from stratagem.core.files import write_text
from stratagem.report.page import fill

__all__ = ["StoredAudit", "write_page"]

MUCH = 0.1  # share of labels or objects lost from which on it is worth a word
SIDES = "If a class has sides, declare them: `swaps` for pairs, `handed` for a class without a mirror image."
UP = "If a class has an up, declare it under `upright`."
ADVICE = {
    "flip_horizontal": SIDES,
    "flip_vertical": f"{SIDES} {UP}",
    "rotation": UP,
    "turns": UP,
    "scale": "Sizes may be a property of what is shown; a smaller range keeps nearer to it.",
    "brightness": "All your images may have been taken alike; a smaller range keeps nearer to it.",
}


@dataclass(frozen=True)
class StoredAudit:
    """What the page is made from.

    Attributes
    ----------
    study : dict
        ``study, classes, swaps, handed, upright`` as plain data.
    policies : dict of str to Path
        By augmentation the folder of its audit.
    presets : dict of str to str, or None
        By augmentation.
    """

    study: dict
    policies: dict[str, Path]
    presets: dict[str, str | None]


def write_page(stored: StoredAudit, page: Path) -> None:
    """Write the page.

    Parameters
    ----------
    stored : Stored
    page : path
        The HTML file; appears whole or not at all.
    """
    classes = stored.study["classes"]
    policies = [
        _policy(name, folder, stored.presets[name], classes) for name, folder in stored.policies.items()
    ]
    text = fill(
        "audit_page",
        study=stored.study["study"],
        classes=classes,
        declared=_declared(stored.study),
        policies=policies,
        advice=ADVICE,
    )
    write_text(text, page)


def _policy(name: str, folder: Path, preset: str | None, classes: list[str]) -> dict:
    transforms = _records(pd.read_csv(folder / "transforms.csv"))
    balance = pd.read_csv(folder / "balance.csv", keep_default_na=False)
    after = balance.pivot(index="transform", columns="class", values="after")[classes]
    order = [row["transform"] for row in transforms]
    return {
        "name": name,
        "transforms": transforms,
        "images": transforms[0]["images"] if transforms else 0,
        "unlike": [row for row in transforms if row["verdict"] == UNLIKE],
        "losses": _losses(transforms),
        "before": balance.drop_duplicates("class").set_index("class")["before"][classes].tolist(),
        "balance": [{"transform": one, "after": after.loc[one].tolist()} for one in order],
        "pictures": json.loads((folder / "pictures.json").read_text(encoding="utf-8")),
        "sheet": (folder / "sheet.svg").read_text(encoding="utf-8"),
        "preset": preset,
        "omitted": PRESETS[preset].omitted if preset else {},
    }


def _records(table: pd.DataFrame) -> list[dict]:
    """Rows with None for what is not known."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _losses(transforms: list[dict]) -> list[str]:
    """What of the labels is lost, where it is much."""
    told = {
        "left": "moves {:.0%} of the labelled pixels out of the frame or hides them",
        "classes": "takes the last pixel of {:.0%} of the classes that an image holds",
        "objects": "takes the last pixel of {:.0%} of the objects",
    }
    return [
        f"{row['transform'].replace('_', ' ').capitalize()} {words.format(row[key])}."
        for row in transforms
        for key, words in told.items()
        if row[key] is not None and row[key] >= MUCH
    ]


def _declared(study: dict) -> list[str]:
    """What the study says of its classes' orientation."""
    pairs = [" and ".join(pair) for pair in study["swaps"]]
    lines = [f"Exchanged in a mirror: {', '.join(pairs)}."] if pairs else []
    lines += [f"Declared {key}: {', '.join(study[key])}." for key in ("handed", "upright") if study[key]]
    return lines
