"""A self-contained HTML page from a template: what every page of the workflow has in common.

A page's template stands beside its module, has its name, and fills the blocks of `page.html`.
"""

from pathlib import Path

import jinja2

from stratagem.data.labels import percent

__all__ = ["fill"]


def fill(name: str, /, **values) -> str:
    """The text of a page, every value escaped unless the template says it is safe.

    Parameters
    ----------
    name : str
        Of the template, without ``.html``.
    **values
        What the template names; one that is missing is an error.

    Raises
    ------
    jinja2.UndefinedError
        If the template names a value that is not given.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = percent
    return environment.get_template(f"{name}.html").render(**values)
