"""Training runs by name, finished or still being written. Whatever is in their folders, the page can show them."""

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

from etviz.checkpoints import (
    CONFIG,
    HISTORY,
    SNAPSHOTS,
    WEIGHTS,
    find_checkpoint,
    list_snapshots,
    load_card,
    load_config,
    read_history,
    snapshot_metadata,
)
from etviz.errors import UsageError
from etviz.models import MODELS, model_config
from etviz.training import LAST

SIGNS = (WEIGHTS, HISTORY, SNAPSHOTS, LAST)  # a folder that contains one of these is a run
QUIET = 900  # seconds; a run that writes nothing for so long, or for three validations if they take longer, has stopped
NO_HISTORY = "No history of this training was kept: there are no curves to show."
NOTHING_YET = "There is no validation yet: the curves start with the first one."
NUMBERS = ("parameters", "images_seen", "seconds", "epochs", "planned_epochs")  # of card.json
CURVES = ("epoch", "train_loss", "masked_psnr", "lr", "images_per_second")  # columns of history.csv


def runs_root() -> Path:
    """The folder of training runs: ETVIZ_RUNS, or else outputs/ here, where the training command writes them."""
    return Path(os.environ.get("ETVIZ_RUNS") or "outputs").expanduser()


def list_runs() -> dict[str, str]:
    """The runs in `runs_root`, the latest first: "outputs/NAME" -> its folder. No shipped name has a slash."""
    root = runs_root()
    folders = [p for p in root.glob("*") if any((p / sign).exists() for sign in SIGNS)]
    folders.sort(key=lambda p: p.name, reverse=True)  # the training command's names end with the time
    return {f"{root.name}/{p.name}": str(p) for p in folders}


def describe_run(name: str, place: str) -> dict:
    """What the menus say of a checkpoint or run. Does not load its weights.

    Returns:
        name; energy: whether its model has one; patches, size: N and the side of an image; step_size, beta: the
        model's own, null where it has none; snapshots: [{file, epoch}], the oldest first; epoch: of the final weights;
        dataset: what it was trained on, or null.
        Only name and problem, a sentence, where nothing can be loaded (yet).
    """
    try:
        config = dict(load_config(place)["model"])
        kind = config.pop("name")
        options = model_config(kind, **config)
        if MODELS[kind].sees_hidden_patches:
            return {"name": name, "problem": nothing_to_fill_in(name)}
        facts = _facts(_card(place))
        return {
            "name": name,
            "energy": MODELS[kind].has_energy,
            "patches": (options["img_size"] // options["patch_size"]) ** 2,
            "size": options["img_size"],
            "step_size": options.get("step_size"),
            "beta": options.get("beta"),
            "snapshots": list(_snapshots(place)),
            "epoch": facts.get("epochs"),
            "dataset": facts.get("dataset"),
        }
    except UsageError:
        whose = f"a whole {CONFIG}" if (_folder(place) / WEIGHTS).is_file() else "its first validation"
        return {"name": name, "problem": f"{name} has no weights that can be loaded yet: it waits for {whose}."}


def nothing_to_fill_in(name: str) -> str:
    """Why a model that sees the hidden patches cannot be shown."""
    return f"{name} sees what is hidden: there is nothing for it to fill in."


def _folder(place: str) -> Path:
    """The folder of a shipped name or a path, whether it holds weights yet or not."""
    try:
        return find_checkpoint(place)
    except UsageError:
        return Path(place)


def _snapshots(place: str) -> Iterable[dict]:
    """The snapshots that can be read."""
    for file in list_snapshots(place):
        try:
            yield {"file": file, "epoch": float(snapshot_metadata(place, file)["epoch"])}
        except (UsageError, KeyError, ValueError):
            continue


def _card(place: str) -> dict:
    """card.json, or nothing where it cannot be read."""
    try:
        return load_card(place)
    except UsageError:
        return {}


def read_run(name: str, place: str, shipped: bool) -> dict:
    """How a training went, or is going.

    Returns:
        curves: a list of numbers for each of `CURVES`, one for each validation, null where not finite.
        facts: whatever card.json says of {model, dataset, parameters, images_seen, seconds, device, epochs,
            planned_epochs, validation, test}; the last two are masked PSNRs in dB.
        state: finished, running or stopped; written: seconds since the last write, null for a shipped checkpoint.
        problem: a sentence where there is no history, or it cannot be read; otherwise empty.
    """
    rows, problem = _history(place)
    if not rows and not problem:
        problem = NO_HISTORY if shipped else NOTHING_YET
    return {
        "curves": {key: [_number(row.get(key)) for row in rows] for key in CURVES},
        "facts": _facts(_card(place)),
        "problem": problem,
        **({"state": "finished", "written": None} if shipped else _progress(place, rows)),
    }


def _history(place: str) -> tuple[list[dict], str]:
    try:
        rows = read_history(_folder(place))
    except UsageError:  # an incomplete row, or bytes that are not text
        return [], f"{HISTORY} cannot be read at the moment: it may be half written."
    return rows, ""


def _number(value: object) -> float | int | None:
    return value if isinstance(value, int | float) and abs(value) < float("inf") else None


def _facts(card: dict) -> dict:
    names = ("model", "dataset", "device", *NUMBERS)
    facts = {key: card[key] for key in names if isinstance(card.get(key), int | float if key in NUMBERS else str)}
    facts = {key: value for key, value in facts.items() if isinstance(value, str) or _number(value) is not None}
    scores = {split: card.get("metrics", {}).get(split, {}).get("masked_psnr") for split in ("validation", "test")}
    return facts | {split: psnr for split, psnr in scores.items() if isinstance(psnr, float) and math.isfinite(psnr)}


def _progress(place: str, rows: list[dict]) -> dict:
    """Whether a run in `runs_root` is still being written."""
    done = bool(rows) and rows[-1].get("epoch", 0) >= _planned_epochs(place)
    written = max(0.0, time.time() - _last_write(Path(place)))
    state = "finished" if done else "running" if written < _patience(rows) else "stopped"
    return {"state": state, "written": round(written, 1)}


def _planned_epochs(place: str) -> float:
    try:
        return float(load_config(place)["train"]["epochs"])
    except (UsageError, KeyError, TypeError, ValueError, OverflowError):
        return float("inf")


def _patience(rows: list[dict]) -> float:
    seconds = [row.get("seconds") or 0.0 for row in rows[-2:]]
    return max(QUIET, 3 * (seconds[-1] - seconds[0])) if len(seconds) == 2 else QUIET


def _last_write(folder: Path) -> float:
    """When a run last wrote a file, in seconds since 1970; 0 where it has written none."""
    times = [0.0]
    for path in (*folder.glob("*"), *folder.glob(f"{LAST}/*"), *folder.glob(f"{SNAPSHOTS}/*")):
        try:
            times.append(path.stat().st_mtime)
        except OSError:  # a temporary file that has just been renamed
            continue
    return max(times)
