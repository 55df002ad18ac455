"""What the documents say exists: their links, the files and commands that they name."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAST = ROOT / "CHANGELOG.md"  # may name what is gone
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "checkpoints" / "README.md"} - {PAST})
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:app\.py|(?:etviz|tests|docs|benchmarks)/)[\w/.-]*)`")
PLACEHOLDERS = ("NAME", "RUN")
COMMAND = re.compile(r"python -m ([\w.]+)")


def names(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestDocument:
    def test_links_lead_somewhere(self, document):
        links = [link for link in LINK.findall(document.read_text()) if not link.startswith("https://")]
        for place, _, anchor in (link.partition("#") for link in links):
            target = document.parent / place if place else document
            assert target.exists(), place
            assert not anchor or anchor in names(target.read_text()), anchor

    def test_named_files_exist(self, document):
        named = [file for file in FILE.findall(document.read_text()) if not any(word in file for word in PLACEHOLDERS)]
        assert not [file for file in named if not (ROOT / file).exists()]

    def test_named_commands_exist(self, document):
        assert not [module for module in COMMAND.findall(document.read_text()) if not importlib.util.find_spec(module)]
