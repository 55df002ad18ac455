"""The page's ES modules joined into one. Hosts take a single module, and this way no build step is needed."""

import posixpath
import re
from pathlib import Path

PAGE = Path(__file__).parent / "page"
IMPORT = re.compile(r'^import \{[^}]*\} from "(\.\.?/[\w./-]+\.js)";\n', re.MULTILINE)


def bundle(entry: str = "explorer.js", folder: Path = PAGE) -> str:
    """The source of ``entry``, preceded by every module that it imports, each once.

    Three rules make this possible. Modules import by name, without renaming. They import by relative path, from inside
    ``folder``. No two modules declare the same name at their top level, or a browser would refuse the joined module.
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
    """What the module ``name`` imports, as paths relative to the page's folder, as ``name`` itself is."""
    return [posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in IMPORT.findall(source)]


def styles(folder: Path = PAGE) -> str:
    """The page's style sheets: page.css for the whole page, then one for each view."""
    sheets = [folder / "page.css", *sorted(folder.glob("views/*.css"))]
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
