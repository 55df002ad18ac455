"""python -m etviz.convert imagenet | cifar10-official
python -m etviz.convert FILE NAME [beta=0.125] [step_size=0.1]

Makes a checkpoint of the weights that the authors of the Energy Transformer publish. With the name of a source, the
file is fetched from its repository and accepted only if it is the published one, byte for byte. FILE is an archive at
hand in one of the two official layouts: a .npz of the JAX repository, or a .pth of the PyTorch one. No pickle is
executed.

The folder written goes to stdout. `load_model`, the explorer and every command then know it by its name. --help lists
every option.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from etviz.commands import is_name, load_options, run, split_at_dashes
from etviz.errors import UsageError
from etviz.files import check_regular, parsing
from etviz.official import SOURCES, Source, adopt, install, place_for
from etviz.official.fetching import MOST_BYTES
from etviz.official.fetching import Progress as Report
from etviz.options import Name, Options, Positive, Whole, literal_path, option

USAGE = f"Name what to convert: {', '.join(SOURCES)}, or FILE NAME for an archive at hand."


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(Options):
    """python -m etviz.convert imagenet | cifar10-official
    python -m etviz.convert FILE NAME
    Makes a checkpoint of the weights that the authors of the Energy Transformer publish.
    """

    out: Path | None = option(None, "folder of checkpoints; ETVIZ_CHECKPOINTS, else ./checkpoints, where null")
    address: Name | None = option(None, "of a mirror, instead of the source's own repository")
    blob: Name | None = option(None, "git blob id that the fetched file must have; the published one's where null")
    steps: Whole | None = option(None, "of the model made of FILE; 12 where null")
    step_size: Positive | None = option(None, "alpha of it; 0.1 for a .npz, 5 for a .pth")
    beta: Positive | None = option(None, "inverse temperature of it; 1/sqrt(head width) for a .npz, 16 for a .pth")
    licence: Name | None = option(None, "of FILE, for the card")


def main(argv: list[str]) -> None:
    """Convert what ``argv`` names; see the module's own text."""
    before, after = split_at_dashes(argv)
    names = [argument for argument in before if is_name(argument)] + after
    options = load_options(ConvertOptions, [argument for argument in before if not is_name(argument)])
    if len(names) == 1 and names[0] in SOURCES:
        print(fetch_source(asked_source(SOURCES[names[0]], options), options))
    elif len(names) == 2:
        print(convert_file(literal_path(names[0]), names[1], options))
    else:
        raise UsageError(USAGE if len(names) != 1 else f"There is no source {names[0]!r}. {USAGE}")


def asked_source(source: Source, options: ConvertOptions) -> Source:
    """The source, or a mirror of it. Raises `UsageError` for options that are for files alone."""
    for name in ("steps", "step_size", "beta", "licence"):
        if getattr(options, name) is not None:
            raise UsageError(f"{name} is for a FILE: how {source.name} descends is known.")
    addresses = source.addresses if options.address is None else (options.address,)
    return replace(source, addresses=addresses, blob=options.blob or source.blob)


def fetch_source(source: Source, options: ConvertOptions) -> Path:
    """Fetch and convert, with a progress bar on stderr."""
    with progress_bar(source.addresses[0].rpartition("/")[2]) as report:
        return install(source, options.out, report)


def convert_file(path: Path, name: str, options: ConvertOptions) -> Path:
    """Convert an archive at hand."""
    if options.address is not None or options.blob is not None:
        raise UsageError("address and blob are for a source that is fetched: a FILE is read from the disk.")
    changes = {key: getattr(options, key) for key in ("steps", "step_size", "beta")}
    with parsing(f"{str(path)!r} cannot be read: {{error}}."):
        check_regular(path)
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        data = path.read_bytes()
    chosen = {key: value for key, value in changes.items() if value is not None}
    return adopt(data, path.name, place_for(name, options.out), chosen, options.licence or "")


@contextmanager
def progress_bar(what: str) -> Iterator[Report]:
    """A bar on stderr; gives the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    run(main)
