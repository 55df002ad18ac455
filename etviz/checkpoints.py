"""Checkpoints as folders: model.safetensors, config.yaml, card.json, history.csv, snapshots/. Never pickled.

A run folder and a shipped checkpoint have one format; a run adds last/ for resuming. `python -m etviz.checkpoints`
prints the shipped ones as a table. Every file is written to a temporary name, synced and renamed, so that an
interrupted write leaves the old file whole.
"""

import csv
import io
import json
import os
import re
from pathlib import Path

import yaml
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from etviz.errors import UsageError
from etviz.files import check_regular, parsing, read_text, write_bytes, write_text
from etviz.models import MaskedImageModel, create_model, suggestion
from etviz.options import literal_path

WEIGHTS, CONFIG, CARD, HISTORY, SNAPSHOTS = "model.safetensors", "config.yaml", "card.json", "history.csv", "snapshots"
MOST_HISTORY = 1 << 26  # bytes: half a million validations
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def checkpoint_roots() -> list[Path]:
    """The folders of named checkpoints: ETVIZ_CHECKPOINTS alone, else checkpoints/ here and beside the package."""
    if os.environ.get("ETVIZ_CHECKPOINTS"):
        return [literal_path(os.environ["ETVIZ_CHECKPOINTS"])]
    return [Path("checkpoints"), Path(__file__).resolve().parent.parent / "checkpoints"]


def list_checkpoints() -> list[str]:
    """Names under `checkpoint_roots` that hold weights and a configuration, sorted."""
    return sorted(_named())


def _named() -> dict[str, Path]:
    """The folder of each named checkpoint; of two with one name, the first root's."""
    found = {}
    for root in checkpoint_roots():
        for weights in root.glob(f"*/{WEIGHTS}"):
            if (weights.parent / CONFIG).is_file():
                found.setdefault(weights.parent.name, weights.parent)
    return found


def find_checkpoint(name_or_path: str | os.PathLike) -> Path:
    """The folder of a checkpoint, by name under `checkpoint_roots` or by path (of the folder or its weights).

    A bare name is looked up among the shipped checkpoints first; it never reaches outside that folder.

    Raises:
        UsageError: there is none.
    """
    text = os.fspath(name_or_path)
    named = _named() if NAME.fullmatch(text) else {}
    if text in named:
        return named[text]
    path = literal_path(text)
    path = path.parent if path.name == WEIGHTS else path
    if not os.path.isfile(path / WEIGHTS):
        names = list_checkpoints()
        hint = suggestion(text, names, "there are") if names else f": none are in {str(checkpoint_roots()[0])!r}"
        raise UsageError(f"There is no checkpoint {text!r}{hint}.")
    return path


def load_model(name_or_path: str | os.PathLike, snapshot: str | None = None) -> MaskedImageModel:
    """A trained model, on the CPU and in evaluation mode.

    Args:
        name_or_path: a name under checkpoints/, a run or checkpoint folder, or its model.safetensors.
        snapshot: the file name of one of `list_snapshots`, to look back through training.

    Raises:
        UsageError: no such checkpoint, or a wrong, truncated or foreign file.
    """
    folder = find_checkpoint(name_or_path)
    config = load_config(folder)["model"]
    options = {key: value for key, value in config.items() if key != "name"}
    try:
        model = create_model(config["name"], **options)
    except UsageError as error:
        raise UsageError(f"{str(folder / CONFIG)!r} describes no model that can be made: {error}") from error
    weights = folder / WEIGHTS if snapshot is None else folder / SNAPSHOTS / Path(snapshot).name
    load_weights(model, weights)
    return model.eval()


def load_weights(model: MaskedImageModel, path: Path) -> None:
    """Fill a model from a safetensors file of exactly its names and shapes (half precision is widened)."""
    found = read_tensors(path)
    expected = model.state_dict()
    if found.keys() != expected.keys():
        odd = sorted(found.keys() ^ expected.keys())
        part = next((part for part in model.trained_parts if all(name.startswith(f"{part}.") for name in odd)), None)
        held = "holds another model's weights" if part is None else f"lacks the {part} that its {CONFIG} describes"
        raise UsageError(f"{str(path)!r} {held}: {odd[0]!r} and {len(odd) - 1} more names differ.")
    for name, tensor in expected.items():
        _check_numbers(found[name], tensor, name, path)
        if found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            raise UsageError(f"{str(path)!r} does not fit its config.yaml: {name!r} is of shape {shapes}.")
    model.load_state_dict(found)


def _check_numbers(found: Tensor, expected: Tensor, name: str, path: Path) -> None:
    """Raise `UsageError` for weights that no training makes: of another kind of number, or not finite."""
    if found.is_floating_point() != expected.is_floating_point() or found.is_complex():
        kinds = f"{str(found.dtype).removeprefix('torch.')} instead of {str(expected.dtype).removeprefix('torch.')}"
        raise UsageError(f"{str(path)!r} holds no weights that can be used: {name!r} is of the kind {kinds}.")
    if not found.float().isfinite().all():
        raise UsageError(
            f"{str(path)!r} holds no weights that can be used: {name!r} is not finite. The training diverged, or the "
            "file is damaged: take a snapshot or another run."
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises `UsageError` where it is missing, truncated or of another format."""
    if not path.exists():
        raise UsageError(f"There is no file {str(path)!r}.")
    with parsing(f"{str(path)!r} is truncated or no safetensors file ({{error}}): copy or train it again."):
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def load_config(name_or_path: str | os.PathLike) -> dict:
    """The configuration a checkpoint was trained with: {"model": {"name": ..., options}, ...}."""
    return read_config(find_checkpoint(name_or_path))


def read_config(folder: Path) -> dict:
    """`load_config` of a folder, whether it holds weights yet or not."""
    path = folder / CONFIG
    with parsing(f"{str(path)!r} is missing or does not name a model: it belongs beside {WEIGHTS}."):
        config = yaml.safe_load(read_text(path))
        if not isinstance(config["model"]["name"], str):
            raise TypeError(config["model"]["name"])
    for section, options in config.items():
        if not isinstance(options, dict) or not all(isinstance(option, str) for option in options):
            raise UsageError(f"{str(path)!r} is damaged: its section {section!r} must hold options, as 'name: value'.")
    return config


def load_card(name_or_path: str | os.PathLike) -> dict:
    """What card.json says of a checkpoint; empty where there is none. Raises `UsageError` where it is no card."""
    path = find_checkpoint(name_or_path) / CARD
    if not path.exists():
        return {}
    with parsing(f"{str(path)!r} is not valid JSON: {{error}}."):
        card = json.loads(read_text(path))
    if not isinstance(card, dict) or not _is_table(card.get("metrics", {})):
        raise UsageError(
            f"{str(path)!r} is no card: it must be a JSON object, its metrics another, and each of them one more."
        )
    return card


def _is_table(metrics: object) -> bool:
    return isinstance(metrics, dict) and all(isinstance(scores, dict) for scores in metrics.values())


def checkpoint_table(names: list[str] | None = None) -> str:
    """The cards of shipped checkpoints as a Markdown table, a row each: what checkpoints/README.md shows.

    Converted ones, which others have trained, are left out unless they are named.

    Raises:
        UsageError: a card that is damaged, or of a run that was never tested.
    """
    header = "| name | model | dataset | parameters | images seen | device | time | masked MSE | masked PSNR |"
    cards = {name: load_card(name) for name in (list_checkpoints() if names is None else names)}
    rows = [_table_row(name, card) for name, card in cards.items() if names is not None or not card.get("converted")]
    return "\n".join([header, "|---|---|---|---:|---:|---|---:|---:|---:|", *rows]) + "\n"


def _table_row(name: str, card: dict) -> str:
    try:
        return f"| {' | '.join(_cells(card))} |"
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"The {CARD} of {name!r} lacks what the table shows: {error}.") from error


def _cells(card: dict) -> list[str]:
    test = card["metrics"]["test"]
    return [
        f"`{card['name']}`",
        f"`{card['model']}`",
        card["dataset"],
        f"{card['parameters']:,}",
        f"{card['images_seen']:,}",
        ", ".join(card[key] for key in ("device", "precision") if key in card),
        f"{card['seconds'] / 3600:.1f} h",
        f"{test['masked_mse']:.5f}",
        f"{test['masked_psnr']:.2f} dB",
    ]


def load_history(name_or_path: str | os.PathLike) -> list[dict[str, int | float]]:
    """The rows of a checkpoint's history.csv, as `read_history` gives them.

    Raises:
        UsageError: there is no such checkpoint, or its history is missing, empty or no table of numbers.
    """
    folder = find_checkpoint(name_or_path)
    rows = read_history(folder)
    if not rows:
        raise UsageError(f"{str(folder / HISTORY)!r} is missing or empty: it is written while training.")
    return rows


def read_history(run: str | Path) -> list[dict]:
    """A run's history.csv as rows of numbers; empty where there is none yet. Raises `UsageError` for another table."""
    path = Path(run) / HISTORY
    if not path.exists():
        return []
    with parsing(
        f"{str(path)!r} is no table of numbers, so it is damaged or no history of a run: restore it, or remove it."
    ):
        table = csv.DictReader(io.StringIO(read_text(path, MOST_HISTORY)), strict=True)
        rows = [{key: _number(value) for key, value in row.items()} for row in table]
        if not {"step", "masked_mse", "masked_psnr"} <= set(table.fieldnames or ()):
            raise ValueError(f"columns {table.fieldnames}")
    return rows


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def history_csv(history: list[dict]) -> str:
    """The history as CSV text, a header and a row for each validation."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def write_history(folder: Path, history: list[dict]) -> None:
    """history.csv, atomically."""
    write_text(folder / HISTORY, history_csv(history))


def list_snapshots(name_or_path: str | os.PathLike) -> list[str]:
    """File names of a checkpoint's snapshots, oldest first."""
    return sorted(p.name for p in (find_checkpoint(name_or_path) / SNAPSHOTS).glob("*.safetensors"))


def snapshot_metadata(name_or_path: str | os.PathLike, snapshot: str) -> dict[str, str]:
    """What a snapshot says of itself: epoch, images."""
    return read_metadata(find_checkpoint(name_or_path) / SNAPSHOTS / Path(snapshot).name)


def read_metadata(path: Path) -> dict[str, str]:
    """The text a safetensors file carries beside its tensors."""
    with parsing(f"{str(path)!r} is truncated or no safetensors file ({{error}})."):
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}


def save_checkpoint(
    model: MaskedImageModel, folder: str | os.PathLike, card: dict, training: dict | None = None
) -> None:
    """Write weights, configuration and card.

    Args:
        model: made by `create_model`, so that it knows its own configuration.
        folder: made where it does not exist.
        card: what to know about the checkpoint, JSON-serialisable.
        training: further sections of config.yaml.
    """
    folder = Path(folder)
    write_config(model, folder, training)
    write_tensors(folder / WEIGHTS, model.state_dict())
    write_card(folder, card)


def write_card(folder: Path, card: dict) -> None:
    """card.json, atomically."""
    write_text(folder / CARD, json.dumps(card, indent=2) + "\n")


def write_config(model: MaskedImageModel, folder: Path, training: dict | None = None) -> None:
    """config.yaml: the model's name and options, then whatever the training adds."""
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in model.config.items()}
    config = {"model": {"name": model.name, **options}, **(training or {})}
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))


def save_snapshot(model: MaskedImageModel, folder: Path, step: int, epoch: float, images: int) -> None:
    """Half-precision weights under snapshots/, named so that sorting by name sorts by time."""
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    metadata = {"epoch": f"{epoch:.4g}", "images": str(images)}
    write_tensors(folder / SNAPSHOTS / f"step-{step:08d}.safetensors", half, metadata)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Tensors of any device to a safetensors file, atomically."""
    cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(cpu, metadata))


if __name__ == "__main__":
    from etviz.commands import run

    run(lambda argv: print(checkpoint_table(), end=""))
