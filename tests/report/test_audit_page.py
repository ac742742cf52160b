"""The page about augmentations says in words what stands out, and shows it."""

import pandas as pd
import pytest

from stratagem.augmentation.audit import ALIKE, COLUMNS, UNLIKE
from stratagem.core.files import write_json, write_table, write_text
from stratagem.report.audit_page import StoredAudit, write_page

STUDY = {"study": "mine", "classes": ["background", "<cell>"], "swaps": [], "handed": [], "upright": []}
QUIET = ("rotation", 20.0, 33, 0.0, 0.0, 0.0, 0.5, 0.4, 33, ALIKE)
UNASKED = ("cutout", 0.5, 33, 0.02, 0.0, 0.0, None, None, 0, "not asked: it hides on purpose")


@pytest.fixture
def page(tmp_path):
    """Writes the page for some rows of an audit and what the study declares; its text."""

    def written(*rows, preset=None, pictures=None, **declared) -> str:
        folder = tmp_path / "audit" / "flips"
        write_table(pd.DataFrame(rows, columns=COLUMNS), folder / "transforms.csv")
        balance = [(row[0], name, 0.75, 0.7) for row in rows for name in STUDY["classes"]]
        write_table(
            pd.DataFrame(balance, columns=["transform", "class", "before", "after"]), folder / "balance.csv"
        )
        write_json(pictures or {}, folder / "pictures.json")
        write_text("<svg>sheet</svg>", folder / "sheet.svg")
        write_page(
            StoredAudit(STUDY | declared, {"flips": folder}, {"flips": preset}), tmp_path / "page.html"
        )
        return " ".join((tmp_path / "page.html").read_text(encoding="utf-8").split())

    return written


def test_what_stands_out_comes_first(page):
    """A transform that is told apart is named with its share, its p and a picture; never as harmful."""
    told = ("flip_horizontal", 1.0, 33, 0.0, 0.0, 0.0, 0.91, 0.0001, 33, UNLIKE)
    text = page(QUIET, told, pictures={"flip_horizontal": "<svg>pair</svg>"})
    assert "<strong>flip horizontal makes images unlike your data</strong>: 91.00% of 33 pairs" in text
    assert "(p 0.0001)" in text and "<svg>pair</svg>" in text
    assert "declare them: `swaps`" in text
    assert "harm" not in text and "Nothing stands out" not in text


def test_labels_that_are_lost_are_told(page):
    """A tenth of the labels or objects is worth a word; less stands in the table alone."""
    text = page(("scale", 3.0, 33, 0.31, 0.0, 0.12, 0.5, 0.4, 33, ALIKE))
    assert "Scale moves 31% of the labelled pixels out of the frame or hides them." in text
    assert "Scale takes the last pixel of 12% of the objects." in text
    assert "of the classes that an image holds." not in text


def test_a_clean_audit_says_so(page):
    """Where nothing stands out the page says it in a sentence; what was not asked shows a dash and why."""
    text = page(QUIET, UNASKED)
    assert "Nothing stands out" in text
    assert "not asked: it hides on purpose" in text
    assert text.count("<td>–</td>") == 2


def test_a_preset_s_omissions_have_their_reasons(page):
    """What the preset leaves out is listed with the reason; without a preset there is no list."""
    assert "an arrow that is turned is another sign" in page(QUIET, preset="traffic-signs")
    assert "leaves out" not in page(QUIET)


def test_what_is_declared_is_repeated(page):
    """The page tells which classes have sides or an up, escaped."""
    text = page(QUIET, swaps=[["<cell>", "background"]], upright=["<cell>"])
    assert "Exchanged in a mirror: &lt;cell&gt; and background." in text
    assert "Declared upright: &lt;cell&gt;." in text


def test_a_study_without_augmentation_has_a_page_too(tmp_path):
    """Nothing to audit is said, not an error."""
    write_page(StoredAudit(STUDY, {}, {}), tmp_path / "page.html")
    assert "No strategy of this study uses an augmentation." in (tmp_path / "page.html").read_text()
