"""An official archive as a checkpoint folder, whole or not at all."""

import os
import shutil
from pathlib import Path

from etviz.checkpoints import CONFIG, NAME, WEIGHTS, checkpoint_roots, save_checkpoint
from etviz.errors import UsageError
from etviz.files import make_folder
from etviz.models import MaskedImageModel, create_model
from etviz.official.fetching import Progress, blob_id, fetch
from etviz.official.layouts import Archive, read_archive
from etviz.official.sources import PAPER, Source


def install(source: Source, out: Path | None = None, progress: Progress = lambda done, total: None) -> Path:
    """Fetch published weights and write them as the checkpoint of the source's name; nothing where it is there.

    Args:
        source: one of `SOURCES`.
        out: the folder of checkpoints; the first of `checkpoint_roots` where None.
        progress: as `fetch` takes it.

    Returns:
        The checkpoint's folder.

    Raises:
        UsageError: the file cannot be had or is another one, or the folder cannot be written.
    """
    folder = place_for(source.checkpoint, out)
    if is_there(folder):
        return folder
    make_folder(folder.parent)  # before 20 MB are fetched
    data = fetch(source.addresses, source.blob, progress)
    archive = read_archive(data, f"{source.name}{source.suffix}")
    facts = {
        "dataset": source.trained_on,
        "hidden_in_training": source.hidden,
        "licence": source.licence,
        "source": list(source.repositories),
        "blob": source.blob,
        "citation": PAPER,
        **({"note": source.note} if source.note else {}),
    }
    return write_model(archive, folder, facts, source.trained_on)


def adopt(data: bytes, file_name: str, folder: Path, changes: dict, licence: str = "") -> Path:
    """Write an archive at hand as a checkpoint.

    Args:
        data, file_name: as `read_archive` takes them.
        folder: to be made; it must not be there yet.
        changes: options of the model that replace those of its layout, such as beta.
        licence: of the weights, for the card.

    Raises:
        UsageError: the archive cannot be read, or the folder is there or cannot be written.
    """
    if folder.exists():
        raise UsageError(f"{str(folder)!r} is already there: choose another name, or remove it.")
    archive = read_archive(data, file_name)
    facts = {"source": [file_name], "blob": blob_id(data), "citation": PAPER}
    facts |= {"licence": licence} if licence else {}
    return write_model(Archive(archive.options | changes, archive.weights), folder, facts)


def place_for(name: str, out: Path | None = None) -> Path:
    """The folder of a checkpoint of that name. Raises `UsageError` where it is no name."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a checkpoint: use letters, digits, '.', '_' and '-'.")
    return (checkpoint_roots()[0] if out is None else out) / name


def is_there(folder: Path) -> bool:
    """Whether a folder holds a checkpoint."""
    return (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()


def write_model(archive: Archive, folder: Path, facts: dict, dataset: str | None = None) -> Path:
    """The archive as a checkpoint folder, which appears under its name once it is whole."""
    model = build(archive)
    parameters = sum(weight.numel() for weight in model.parameters())
    card = {"name": folder.name, "model": "et", **facts, "parameters": parameters, "converted": True}
    make_folder(folder.parent)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        save_checkpoint(model, partial, card, {"dataset": {"name": dataset}} if dataset else None)
        shutil.rmtree(folder, ignore_errors=True)  # what an earlier attempt by hand left: `is_there` denied it
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def build(archive: Archive) -> MaskedImageModel:
    """The model, in evaluation mode. Raises `UsageError` where the weights do not fit together."""
    model = create_model("et", **archive.options)
    try:
        model.load_state_dict({"mean": model.mean, "std": model.std, **archive.weights})
    except RuntimeError as error:
        first = " ".join(str(error).splitlines()[1:2]).strip().removesuffix(".")
        raise UsageError(f"The archive's arrays do not fit together: {first}.") from error
    return model.eval()
