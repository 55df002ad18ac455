"""One descent as one HTML file: the page's own code and the answer that it shows, and no server behind."""

import html
import json

from etviz.ui.bundle import bundle, styles

TITLE = "A descent, replayed"
ABOUT = "An Energy Transformer fills in the hidden patches, walking downhill on an energy. Recorded with etviz."

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>body {{ margin: 0 }} {styles}</style>
<div id="etviz" class="etviz" style="min-height: 100vh"></div>
<script type="application/json" id="answer">{answer}</script>
<script type="module">
{code}
const answer = JSON.parse(document.getElementById("answer").textContent);
createExplorer(document.getElementById("etviz"), {{ start: {{ heading: {heading}, answer }} }});
</script>
</html>
"""


def replay_page(answer: dict) -> str:
    """A page that replays ``answer`` (a reading of kind "trace") offline, with the explorer's own scrubber."""
    heading = {"title": "etviz", "text": ABOUT}
    return PAGE.format(
        title=html.escape(f"{TITLE}: {answer['caption']}"),
        styles=styles(),
        answer=in_script(answer),
        code=bundle(),
        heading=in_script(heading),
    )


def in_script(data: object) -> str:
    """JSON that is safe inside a script element, where "</" would end it."""
    return json.dumps(data).replace("<", "\\u003c")
