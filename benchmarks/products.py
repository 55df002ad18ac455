"""What a figure in the pages is made from, and how it is made anew: see `benchmarks.results`."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from etviz.errors import UsageError
from etviz.evaluation.provenance import command_line, weights_digest
from etviz.files import dump, write_text

ROOT = Path(__file__).resolve().parent.parent
RECORDS = "docs/results.json"  # what products without a JSON of their own were made from
Run = Callable[[Sequence[str]], None]  # a command's module and arguments


@dataclass(frozen=True, kw_only=True)
class Product:
    """Files that one command writes, all at once or none of them."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    place: tuple[str, ...] = ()  # how the command is told where to write, {} for the folder; nothing: it knows itself
    files: Mapping[str, str]  # path in the repository, by the file's name in that folder
    form: str  # name and version of what it writes
    record: str | None = None  # the path of its own JSON, which says what it was made from; else it is in `RECORDS`
    checkpoints: Callable[[], Iterable[str]] = tuple  # those that it shows
    sources: Callable[[], Mapping[str, str]] = dict  # digests of what else it depends on, by its name
    root: Path = field(default=ROOT)

    def wanted(self) -> dict:
        """What it should be made from."""
        found = {"format": self.form, "command": command_line(self.module, self.arguments)}
        found |= {"weights": {name: weights_digest(name) for name in self.checkpoints()}}
        sources = dict(self.sources())
        return found | ({"sources": sources} if sources else {})

    def stored(self) -> dict | None:
        """What it was made from; None where nothing says so."""
        if self.record is None:
            return read_json(self.root / RECORDS).get(self.name)
        document = read_json(self.root / self.record)
        return document if "format" in document else None

    def reasons(self) -> list[str]:
        """Why it is stale, a sentence each; none where it is not."""
        missing = [path for path in self.files.values() if not (self.root / path).is_file()]
        stored = self.stored()
        if missing:
            return [f"{path} is missing." for path in missing]
        if stored is None:
            return ["Nothing says what it was made from."]
        return list(differences(stored, self.wanted()))

    def make(self, run: Run) -> None:
        """Run the command, then put its files into their places and record what they were made from.

        Raises:
            UsageError: the command fails, or does not write all files. Those that were there are as before.
        """
        wanted = self.wanted()
        (self.root / "outputs").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self.root / "outputs") as folder:
            run([self.module, *self.arguments, *(part.format(folder) for part in self.place)])
            if self.place:
                self._take(Path(folder))
        if self.record is None:
            records = read_json(self.root / RECORDS) | {self.name: wanted}
            write_text(self.root / RECORDS, dump(dict(sorted(records.items()))) + "\n")

    def _take(self, folder: Path) -> None:
        """Move the files out of the folder, the one with the record last: stopped in between, the product is stale."""
        missing = [name for name in self.files if not (folder / name).is_file()]
        if missing:
            raise UsageError(f"{self.module} wrote no {missing[0]}: {self.name} stays as it was.")
        for name, path in sorted(self.files.items(), key=lambda item: item[1] == self.record):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / name, self.root / path)


def differences(stored: dict, wanted: dict) -> Iterable[str]:
    """A sentence for each part of what a product was made from that is not what it should be made from."""
    if stored.get("format") != wanted["format"]:
        yield f"Its format is {stored.get('format')!r}, and {wanted['format']!r} is written now."
    if stored.get("command") != wanted["command"]:
        yield f"It was made by `{stored.get('command')}`, and `{wanted['command']}` makes it now."
    for key, thing in (("weights", "The weights of"), ("sources", "The code of")):
        before, now = stored.get(key, {}), wanted.get(key, {})
        yield from (f"It lacks {name}." for name in now if name not in before)
        yield from (f"It shows {name}, which is not among them any more." for name in before if name not in now)
        changed = (name for name in now if before.get(name, now[name]) != now[name])
        yield from (f"{thing} {name} changed since then." for name in changed)


def run_command(command: Sequence[str]) -> None:
    """``python -m`` with a module and its arguments, from the repository's root. Raises `UsageError` if it fails."""
    found = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    if found.returncode:
        raise UsageError(f"{command_line(command[0], command[1:])} ended with exit status {found.returncode}.")


def read_json(path: Path) -> dict:
    """A JSON object; empty where there is none, or no such file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def digest(*texts: str) -> str:
    """The SHA-256 of texts, in hexadecimal."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode() + b"\0")
    return found.hexdigest()
