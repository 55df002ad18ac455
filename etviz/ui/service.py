"""Answers the page's questions with shared models. Nothing here belongs to a session, so nothing can cross over."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from etviz.checkpoints import (
    SNAPSHOTS,
    WEIGHTS,
    find_checkpoint,
    list_checkpoints,
    list_snapshots,
    load_card,
    load_config,
    load_model,
)
from etviz.data import to_float
from etviz.errors import UsageError
from etviz.examples import Pictures, galleries, load_pictures, title
from etviz.masks import mask_from_hex, mask_to_hex, random_mask
from etviz.models import MODELS, MaskedImageModel, Trace, model_options
from etviz.ui.cache import Cache
from etviz.ui.payload import decode_pixels, encode_pixels
from etviz.ui.readings import READINGS
from etviz.ui.request import MAX_STEPS, SETTLED, SETTLING_STEPS, Request, Settings, a_dict
from etviz.ui.runs import list_runs
from etviz.ui.uploads import MAX_BYTES, MAX_SIDE, read_upload

MAX_WAITING = 32  # questions at once; more are turned away with a sentence
MAX_MODELS = 40  # kept in memory: the snapshots of some runs
MAX_TRACES = 6  # kept for the views that look closer at what is on screen
MAX_BANDS = 64  # some 10 KB each
TURN = 0.001  # seconds


class Service:
    """Answers questions about masks. Models are shared by everybody and used by one question at a time.

    Args:
        checkpoint: name or path of the model to begin with.
        dataset, root: as `etviz.load_dataset` takes them.

    Raises:
        UsageError: no such checkpoint or dataset, or a model without an energy.
    """

    def __init__(self, checkpoint: str, dataset: str = "cifar10", root: str | None = None):
        self.checkpoints = self.find_models(checkpoint)
        self.others = self.find_others()
        self.root = root
        self.lock = threading.RLock()  # held while a model computes
        self._models: OrderedDict[tuple, tuple[int, MaskedImageModel]] = OrderedDict()
        self._pictures: dict[tuple, Pictures] = {}
        self._traces: OrderedDict[tuple, Trace] = OrderedDict()
        self.bands = Cache(MAX_BANDS)
        self._places = threading.BoundedSemaphore(MAX_WAITING)
        self.first = next(name for name, place in self.checkpoints.items() if place == checkpoint)
        self.galleries, self.note = self.find_galleries(dataset)
        self.pictures(self.galleries[0], self.model(self.first).img_size)

    # ---- where models and pictures come from -----------------------------------------------------------------------

    def find_models(self, checkpoint: str) -> dict[str, str]:
        """Names for the menu, and where each model lies."""
        return explorable(checkpoint)

    def find_others(self) -> dict[str, str]:
        """Models without an energy to descend, to compare with: their names, and where each lies."""
        return comparable()

    def find_galleries(self, dataset: str) -> tuple[list[str], str]:
        """Names of the galleries, the first to begin with, and a sentence where that is not the one asked for."""
        return galleries(dataset, self.root)

    def menu_entry(self, name: str) -> dict:
        """A model of the menu, which need not be loaded for it."""
        place = self.checkpoints[name]
        return {"name": name, "facts": facts(place), "patches": count_patches(place)}

    # ---- what is shared ------------------------------------------------------------------------------------------

    def place(self, name: str) -> str:
        """Where a model or a training run lies; names from outside never become paths."""
        places = self.places()
        if not isinstance(name, str) or name not in places:
            raise UsageError(f"There is no model {str(name)[:60]!r} here: choose one from the menu.")
        return places[name]

    def places(self) -> dict[str, str]:
        """All that can be loaded, by name: the menu's models, the others, and the training runs there are now."""
        return {**list_runs(), **self.others, **self.checkpoints}

    def model(self, name: str, snapshot: str | None = None) -> MaskedImageModel:
        """A model by its name, loaded when first asked for, and again once a training has written it anew."""
        place = self.place(name)
        if snapshot is not None and snapshot not in list_snapshots(place):
            raise UsageError(f"{name} has no snapshot {str(snapshot)[:60]!r}: reload the page.")
        written = _time_written(place, snapshot)
        with self.lock:
            if self._models.get((name, snapshot), (None,))[0] != written:
                self._models[name, snapshot] = written, load_model(place, snapshot)
            self._models.move_to_end((name, snapshot))
            if len(self._models) > MAX_MODELS:
                self._models.popitem(last=False)
            return self._models[name, snapshot][1]

    def pictures(self, dataset: str, size: int) -> Pictures:
        """A gallery's pictures at a model's size, loaded when first asked for."""
        if dataset not in self.galleries:
            known = ", ".join(self.galleries)
            raise UsageError(f"There are no pictures of {str(dataset)[:60]!r} here: there are {known}.")
        with self.lock:
            if (dataset, size) not in self._pictures:
                self._pictures[dataset, size] = load_pictures(dataset, self.root, size)
            return self._pictures[dataset, size]

    def read_request(self, question: dict, energy: bool = True) -> Request:
        """What a question is about.

        Args:
            question: {model: a name, snapshot: of the model, or null, picture: {dataset, index} or {pixels, name},
                mask: hexadecimal, settings: as `Settings.read` takes them}, from outside.
            energy: whether the model must have one to descend.

        Raises:
            UsageError: anything in it is not what it should be.
        """
        question = a_dict(question)
        model = self.model(question.get("model"), question.get("snapshot"))
        if model.sees_hidden_patches:
            raise UsageError(f"{question['model']} sees what is hidden: there is nothing for it to fill in.")
        pixels, picture, caption = self._picture(question.get("picture"), model.img_size)
        request = Request(
            model=model,
            model_name=question["model"],
            snapshot=question.get("snapshot"),
            image=to_float(pixels),
            picture=picture,
            caption=caption,
            mask=mask_from_hex(question.get("mask"), model.num_patches),
            settings=Settings.read(question.get("settings")),
        )
        if energy and not request.has_energy:
            raise UsageError(f"{request.model_name} has no energy to descend: choose an Energy Transformer.")
        return request

    def trace(self, request: Request, keep_attention: bool = False) -> Trace:
        """The request's descent; the last few are kept, so that looking closer costs no second descent."""
        key = (*request.key(), keep_attention)
        with self.lock:
            if key not in self._traces:
                arguments = request.settings.arguments() | {"keep_attention": keep_attention}
                self._traces[key] = request.model.trace(request.image[None], request.mask, **arguments)
            self._traces.move_to_end(key)
            if len(self._traces) > MAX_TRACES:
                self._traces.popitem(last=False)
            return self._traces[key]

    def in_turns(self, pieces: Iterator) -> Iterator:
        """What ``pieces`` yields, with the models to itself for one piece at a time: others compute in between."""
        while True:
            with self.lock:
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece
            time.sleep(TURN)  # or this thread would take the lock again before anybody who waits for it

    # ---- what is asked -------------------------------------------------------------------------------------------

    def start(self) -> dict:
        """What the page shows before anybody asks: the menus, pictures to choose from, and a first descent."""
        model, dataset = self.model(self.first), self.galleries[0]
        gallery = READINGS["gallery"](self, {"model": self.first, "dataset": dataset, "page": 0})
        mask = random_mask(1, num_patches=model.num_patches, generator=torch.Generator().manual_seed(0))
        picture = {"dataset": dataset, "index": gallery["thumbs"][0]["index"]}
        question = {"seq": 0, "model": self.first, "picture": picture, "mask": mask_to_hex(mask)}
        return {
            "models": [self.menu_entry(name) for name in self.checkpoints],
            "datasets": [{"name": name, "title": title(name)} for name in self.galleries],
            "gallery": gallery,
            "note": self.note,
            "limits": {
                "steps": MAX_STEPS,
                "settling_steps": SETTLING_STEPS,
                "settled": SETTLED,
                "file": {"bytes": MAX_BYTES, "side": MAX_SIDE},
            },
            "uploads": True,
            "answer": READINGS["trace"](self, question),
        }

    def ask(self, question: dict) -> dict:
        """One of the `READINGS`, by the question's kind.

        Raises:
            UsageError: there is no such reading, or anything else in the question is not what it should be.
        """
        kind = a_dict(question).get("kind", "trace")
        if not isinstance(kind, str) or kind not in READINGS:
            raise UsageError("The app did not understand the page: reload it.")
        return READINGS[kind](self, question)

    def read_file(self, question: dict, folder: str) -> dict:
        """An uploaded picture as {pixels}, at a model's size; the file is deleted.

        Args:
            question: {path, model: a name}, from outside.
            folder: where uploads land; a path that leads anywhere else is refused.
        """
        question = a_dict(question)
        inside = Path(os.path.realpath(str(question.get("path"))))
        if not inside.is_relative_to(os.path.realpath(folder)) or not inside.is_file():
            raise UsageError("The picture did not arrive: upload it again.")
        try:
            return {"pixels": encode_pixels(read_upload(inside, self.model(question.get("model")).img_size))}
        finally:
            inside.unlink(missing_ok=True)

    def politely(self, act, *arguments) -> dict:
        """Run ``act``; a sentence under "error" where the question was wrong or too many wait already."""
        if not self._places.acquire(blocking=False):
            return {"error": "Too many people are asking at once: try again in a moment."}
        try:
            return act(*arguments)
        except UsageError as error:
            return {"error": str(error)}
        finally:
            self._places.release()

    def _picture(self, picture: dict, size: int) -> tuple[Tensor, dict, str]:
        """A picture as asked for: (3, size, size) uint8, what to ask for to get it again, and its caption."""
        picture = a_dict(picture)
        if "pixels" in picture:
            name = str(picture.get("name", "picture"))[:80]
            again = {"pixels": picture["pixels"], "name": name}
            return decode_pixels(picture["pixels"], size), again, f"Your {name}, cropped and shrunk to {size}x{size}"
        dataset, index = picture.get("dataset", self.galleries[0]), picture.get("index")
        pictures = self.pictures(dataset, size)
        if type(index) is not int or not 0 <= index < len(pictures.images):
            raise UsageError(f"There is no picture {str(index)[:20]}: choose 0 to {len(pictures.images) - 1}.")
        return pictures.images[index], {"dataset": dataset, "index": index}, pictures.caption(index)


def explorable(checkpoint: str) -> dict[str, str]:
    """Names for the menu and where to load each from: shipped models with an energy, and ``checkpoint``.

    Raises:
        UsageError: there is no such checkpoint, or its model has no energy to descend.
    """
    if not _has_energy(checkpoint):
        raise UsageError(f"The model of {checkpoint!r} has no energy to descend: choose an Energy Transformer.")
    shipped = {name: name for name in list_checkpoints() if name == checkpoint or _is_sound(name)}
    if checkpoint in shipped:
        return shipped
    name = Path(checkpoint).resolve().name
    return {checkpoint if name in shipped else name: checkpoint, **shipped}


def comparable() -> dict[str, str]:
    """Shipped models that fill in hidden patches without an energy: MAE and its kind. Broken ones are left out."""
    return {name: name for name in list_checkpoints() if _is_sound(name, _fills_in_at_once)}


def _has_energy(checkpoint: str) -> bool:
    kind = _model_class(checkpoint)
    return kind is not None and kind.has_energy


def _fills_in_at_once(checkpoint: str) -> bool:
    kind = _model_class(checkpoint)
    return kind is not None and not kind.has_energy and not kind.sees_hidden_patches


def _model_class(checkpoint: str) -> type[MaskedImageModel] | None:
    return MODELS.get(load_config(checkpoint)["model"]["name"])


def _is_sound(checkpoint: str, suits: Callable[[str], bool] = _has_energy) -> bool:
    """Whether a shipped checkpoint can be offered; a broken one is left out of the menu."""
    try:
        return suits(checkpoint)
    except UsageError:
        return False


def _time_written(checkpoint: str, snapshot: str | None) -> int:
    """When the weights were written, in nanoseconds; 0 where they are gone, for the loading to say so."""
    folder = find_checkpoint(checkpoint)
    weights = folder / WEIGHTS if snapshot is None else folder / SNAPSHOTS / snapshot
    return weights.stat().st_mtime_ns if weights.is_file() else 0


def count_patches(checkpoint: str) -> int:
    """How many patches a checkpoint's model cuts a picture into, without loading it."""
    config = load_config(checkpoint)["model"]
    sizes = model_options(config["name"]) | config
    return (sizes["img_size"] // sizes["patch_size"]) ** 2


def facts(checkpoint: str) -> str:
    """A line about a checkpoint from its card, as far as the card says."""
    card = load_card(checkpoint)
    psnr = ((card.get("metrics") or {}).get("test") or {}).get("masked_psnr")
    parts = [
        f"{card['parameters']:,} parameters" if card.get("parameters") else "",
        f"trained on {card['dataset']}" if card.get("dataset") else "",
        f"test masked PSNR {psnr:.2f} dB" if psnr else "",
    ]
    return " · ".join(part for part in parts if part)
