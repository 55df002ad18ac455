"""python -m etviz.reports docs/comparison.json [docs/robustness.json ...]

Writes each page again from the numbers that its command has stored, without measuring anything: after a change of the
page's wording. The page goes beside the JSON.
"""

import json
from pathlib import Path

from etviz.commands import run
from etviz.errors import UsageError
from etviz.files import write_text
from etviz.reports import comparison, robustness


def main(argv: list[str]) -> None:
    """Write the pages of the files in ``argv``."""
    if not argv or any(argument in ("--help", "-h") for argument in argv):
        print((__doc__ or "").strip())
        return
    for path in map(Path, argv):
        page = path.with_suffix(".md")
        write_text(page, make_page(path))
        print(page)


def make_page(path: Path) -> str:
    """The page of one JSON file. Raises `UsageError` where the file is not one of a page's, or from an older etviz."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{str(path)!r} cannot be read as JSON: name a comparison.json or a robustness.json."
        ) from error
    pages = {module.FORMAT: module for module in (comparison, robustness)}
    if isinstance(document, dict) and document.get("format") in pages:
        return pages[document["format"]].make_page(document)
    raise UsageError(
        f"{str(path)!r} does not hold all that a page shows: "
        "name a comparison.json or a robustness.json that this version of etviz has written."
    )


if __name__ == "__main__":
    run(main)
