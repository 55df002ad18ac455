"""Templates to text: Python prepares plain data, and the templates hold the sentences and the markup."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

BACKTICKS = re.compile("`+")
MARKUP = re.compile(r"([\\`*_{}\[\]#|])")  # what Markdown would not show as it is


def render(template: str, **data) -> str:
    """A file of the templates folder, filled in.

    Args:
        template: its name; in .html every value is escaped unless it is marked as safe.
        data: what the template names; a name that is missing is an error.
    """
    return _environment().get_template(template).render(**data)


def style() -> str:
    """The style sheet of every HTML report."""
    return files("etviz.reports").joinpath("report.css").read_text(encoding="utf-8")


def code(name: str) -> str:
    """A name from outside as Markdown code, in which nothing else is read: not HTML, and no table's bar either."""
    ticks = "`" * (1 + max((len(run) for run in BACKTICKS.findall(name)), default=0))
    pad = " " if "`" in name else ""
    return f"{ticks}{pad}{' '.join(name.split())}{pad}{ticks}".replace("|", "\\|")


def plain(text: str) -> str:
    """A text from outside as Markdown reads it literally: without HTML, and without a bar that would end a cell."""
    return MARKUP.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("etviz.reports"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": code,
        "plain": plain,
        "codes": lambda names: [code(name) for name in names],
        "listed": listed,
        "fixed": lambda value, digits=0: f"{value:,.{digits}f}",
        "signed": lambda value, digits: f"{value:+.{digits}f}",
        "percent": lambda value, digits=0: f"{value:.{digits}%}",
    }
    return environment
