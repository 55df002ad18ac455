"""The page's ES modules as one: hosts take a single module, and nothing here needs a build step."""

import re
from pathlib import Path

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)


def bundle(entry: str = "explorer.js", folder: Path = HERE) -> str:
    """The source of ``entry`` with every module that it imports put before it, each once.

    The modules keep to what makes that enough: they import by name and without renaming, from files beside them, and
    no two declare the same name at their top level (a browser refuses the module otherwise).
    """
    sources: dict[str, str] = {}

    def add(name: str) -> None:
        if name in sources:
            return
        source = (folder / name).read_text(encoding="utf-8")
        for imported in IMPORT.findall(source):
            add(imported)
        sources[name] = IMPORT.sub("", source)

    add(entry)
    return "\n".join(f"// {name}\n{source}" for name, source in sources.items())


def styles(folder: Path = HERE) -> str:
    """The page's style sheets: painter.css for all of it, then one a view."""
    sheets = [folder / "painter.css", *sorted(folder.glob("view-*.css"))]
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
