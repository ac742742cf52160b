"""Pages are self-contained, and escape what they are given."""

import jinja2
import pytest

from stratagem.report import page


@pytest.fixture
def template(tmp_path, monkeypatch):
    """Writes a template beside a copy of the base, as a module's would stand beside it."""
    base = page.Path(page.__file__).with_suffix(".html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(base, encoding="utf-8")
    monkeypatch.setattr(page, "__file__", str(tmp_path / "page.py"))
    return lambda text: (tmp_path / "mine.html").write_text(text, encoding="utf-8")


def test_a_page_fills_the_blocks_of_the_base(template):
    """A template gives a title and a body; what all pages share comes from the base."""
    template(
        '{% extends "page.html" %}{% block title %}T{% endblock %}{% block body %}B{{ x }}{% endblock %}'
    )
    text = page.fill("mine", x=1)
    assert text.startswith("<!doctype html>")
    assert "<title>T</title>" in text and "B1" in text
    assert "http" not in text  # nothing is fetched


def test_values_are_escaped(template):
    """A class called `<b>` is shown as such."""
    template("{{ name }} {{ drawing | safe }}")
    assert page.fill("mine", name="<b>", drawing="<svg>") == "&lt;b&gt; <svg>"


def test_a_value_that_is_missing_is_an_error(template):
    """A name that nobody gives a value would leave a hole in the page."""
    template("{{ nobody }}")
    with pytest.raises(jinja2.UndefinedError):
        page.fill("mine")
