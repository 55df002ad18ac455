"""One descent as one HTML file: the explorer's own code and the answer that it shows, without a server."""

import json

from etviz.reports.render import render
from etviz.ui.bundle import bundle, styles

HEADING = {
    "title": "etviz",
    "text": "An Energy Transformer fills in the hidden patches by descending its energy. Recorded with etviz.",
}


def replay_page(answer: dict) -> str:
    """A page that replays ``answer`` (a reading of kind "trace") offline, with the explorer's own scrubber."""
    parts = {"styles": styles(), "code": bundle(), "answer": in_script(answer), "heading": in_script(HEADING)}
    return render("replay.html", caption=answer["caption"], **parts)


def replay_template() -> str:
    """`replay_page` with %ANSWER% where the answer belongs, and %CAPTION% for the caption."""
    parts = {"styles": styles(), "code": bundle(), "answer": '"%ANSWER%"', "heading": in_script(HEADING)}
    return render("replay.html", caption="%CAPTION%", **parts)


def in_script(data: object) -> str:
    """JSON that is safe inside a script element, which "</" would end."""
    return json.dumps(data).replace("<", "\\u003c")
