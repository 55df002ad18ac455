"""The page's ES modules as one: hosts take a single module, and nothing here needs a build step."""

import posixpath
import re
from pathlib import Path

PAGE = Path(__file__).parent / "page"
IMPORT = re.compile(r'^import \{[^}]*\} from "(\.\.?/[\w./-]+\.js)";\n', re.MULTILINE)


def bundle(entry: str = "explorer.js", folder: Path = PAGE) -> str:
    """The source of ``entry`` with every module that it imports put before it, each once.

    Three rules make this enough. Modules import by name, without renaming. They import by relative path, from inside
    ``folder``. No two declare the same name at their top level; a browser refuses the joined module otherwise.
    """
    sources: dict[str, str] = {}

    def add(name: str) -> None:
        if name in sources:
            return
        source = (folder / name).read_text(encoding="utf-8")
        for imported in imports(name, source):
            add(imported)
        sources[name] = IMPORT.sub("", source)

    add(entry)
    return "\n".join(f"// {name}\n{source}" for name, source in sources.items())


def imports(name: str, source: str) -> list[str]:
    """What the module ``name`` imports, as paths from the page's folder like ``name`` itself."""
    return [posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in IMPORT.findall(source)]


def styles(folder: Path = PAGE) -> str:
    """The page's style sheets: page.css for all of it, then one for each view."""
    sheets = [folder / "page.css", *sorted(folder.glob("views/*.css"))]
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
