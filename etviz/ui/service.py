"""Answers the page's questions with shared models. It keeps nothing for one person, so nothing leaks to another."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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
from etviz.examples import (
    CARRIED_GALLERY,
    CIFAR_SIDE,
    Pictures,
    galleries,
    galleries_without,
    has_carried_pictures,
    load_pictures,
    title,
)
from etviz.masks import mask_from_hex, mask_to_hex
from etviz.models import MODELS, MaskedImageModel, Trace, model_config
from etviz.official import SOURCES, Source
from etviz.pictures import resize
from etviz.ui.cache import Cache
from etviz.ui.downloads import Downloads
from etviz.ui.limits import LIMITS, Limits
from etviz.ui.opening import opening_mask, typical_picture
from etviz.ui.payload import decode_pixels, raw_pixels
from etviz.ui.protocol import Piece
from etviz.ui.readings import READINGS
from etviz.ui.request import FAILED, NOT_UNDERSTOOD, Request, Settings, a_dict
from etviz.ui.runs import list_runs, nothing_to_fill_in
from etviz.ui.uploads import decode_upload, read_upload

LOG = logging.getLogger("etviz")
TURN = 0.001  # seconds


class Loaded(NamedTuple):
    """A model in memory, and when its weights were written."""

    model: MaskedImageModel
    written: int  # nanoseconds


class Service:
    """Answers questions about masks; the readings know it as an `etviz.ui.protocol.Backend`.

    Models are shared by everybody, and answer one question at a time.

    Args:
        checkpoint: name or path of the model to begin with.
        dataset, root: as `etviz.load_dataset` takes them.
        limits: what a question may ask for, and how much is kept in memory.

    Raises:
        UsageError: there is no such checkpoint or dataset, or the model has no energy.
    """

    def __init__(self, checkpoint: str, dataset: str = "cifar10", root: str | None = None, limits: Limits = LIMITS):
        self.limits = limits
        self.checkpoints = self.find_models(checkpoint)
        self.others = self.find_others()
        self.root = root
        self.lock = threading.RLock()  # held while a model computes
        self.bands: Cache[dict] = Cache(limits.bands)
        self._models: Cache[Loaded] = Cache(limits.models, self.lock)
        self._galleries: Cache[Pictures] = Cache(limits.galleries, self.lock)
        self._traces: Cache[Trace] = Cache(limits.traces, self.lock)
        self._begun: Cache[Trace] = Cache(limits.traces, self.lock)
        self._places = threading.BoundedSemaphore(limits.waiting)
        self.first = next(name for name, place in self.checkpoints.items() if place == checkpoint)
        self.galleries, self.note = self.find_galleries(dataset)
        self.downloads = Downloads(self.find_offers(), self.add_model)
        size = self.model(self.first).img_size
        try:
            self.pictures(self.galleries[0], size)
        except UsageError as error:
            self.galleries, self.note = galleries_without(dataset, self.root, error)
            self.pictures(self.galleries[0], size)
        self.offer_large_pictures()

    # ---- where models and pictures come from -----------------------------------------------------------------------

    def find_models(self, checkpoint: str) -> dict[str, str]:
        """The models of the menu: name -> where the checkpoint is."""
        return explorable(checkpoint)

    def find_others(self) -> dict[str, str]:
        """The models without an energy, for comparison: name -> where the checkpoint is."""
        return comparable()

    def find_galleries(self, dataset: str) -> tuple[list[str], str]:
        """The names of the galleries, the first one to begin with, and a note where it is not the one asked for."""
        return galleries(dataset, self.root)

    def find_offers(self) -> dict[str, Source]:
        """The published models that can be fetched where they are missing, by name."""
        return {"imagenet": SOURCES["imagenet"]}

    def add_model(self, name: str) -> None:
        """Put a checkpoint that has just been written into the menu, with pictures of its size."""
        self.checkpoints = {**self.checkpoints, name: name}
        self.offer_large_pictures()

    def offer_large_pictures(self) -> None:
        """Add scikit-image's photographs to the galleries where a model takes pictures larger than those of CIFAR."""
        large = any(self.menu_entry(name)["size"] > CIFAR_SIDE for name in self.checkpoints)
        if large and CARRIED_GALLERY not in self.galleries and has_carried_pictures():
            self.galleries = [*self.galleries, CARRIED_GALLERY]

    def menu_entry(self, name: str) -> dict:
        """What the menu says of a model, which is not loaded for that."""
        place = self.checkpoints[name]
        return {"name": name, "facts": facts(place), **grid_of(place)}

    # ---- what is shared ------------------------------------------------------------------------------------------

    def place(self, name: object) -> str:
        """Where a model or a training run is. Only known names are accepted, so no name from outside becomes a path."""
        places = self.places()
        if not isinstance(name, str) or name not in places:
            raise UsageError(f"There is no model {str(name)[:60]!r} here: choose one from the menu.")
        return places[name]

    def places(self) -> dict[str, str]:
        """Where everything that can be loaded is, by name: the menu's models, the others, and the present runs."""
        return {**list_runs(), **self.others, **self.checkpoints}

    def model(self, name: object, snapshot: object = None) -> MaskedImageModel:
        """A model by its name, loaded when it is first asked for, and again once a training has written new weights.

        Raises:
            UsageError: there is no such model or snapshot, or it cannot be loaded.
        """
        place = self.place(name)
        if snapshot is not None and not (isinstance(snapshot, str) and snapshot in list_snapshots(place)):
            raise UsageError(f"{name} has no snapshot {str(snapshot)[:60]!r}: reload the page.")
        written = _time_written(place, snapshot)

        def load() -> Loaded:
            return Loaded(load_model(place, snapshot), written)

        with self.lock:
            if self._models.get((name, snapshot), load).written != written:
                self._models.drop((name, snapshot))
            return self._models.get((name, snapshot), load).model

    def pictures(self, dataset: object, size: int) -> Pictures:
        """The pictures of a gallery, ``size`` pixels wide, loaded when they are first asked for.

        Raises:
            UsageError: there is no such gallery.
        """
        if not isinstance(dataset, str) or dataset not in self.galleries:
            known = ", ".join(self.galleries)
            raise UsageError(f"There are no pictures of {str(dataset)[:60]!r} here: there are {known}.")
        return self._galleries.get((dataset, size), lambda: load_pictures(dataset, self.root, size))

    def read_request(self, question: dict, energy: bool = True) -> Request:
        """Check a question from outside.

        Args:
            question: {model: a name, snapshot: one of the model's, or null, picture: {dataset, index} or {pixels,
                name}, mask: hexadecimal, settings: as `Settings.read` takes them}.
            energy: whether the model must have an energy to descend.

        Raises:
            UsageError: something in the question is wrong.
        """
        question = a_dict(question)
        model = self.model(question.get("model"), question.get("snapshot"))
        if model.sees_hidden_patches:
            raise UsageError(nothing_to_fill_in(question["model"]))
        pixels, picture, caption = self._picture(a_dict(question.get("picture")), model.img_size)
        request = Request(
            model=model,
            model_name=question["model"],
            snapshot=question.get("snapshot"),
            image=to_float(pixels),
            picture=picture,
            caption=caption,
            mask=mask_from_hex(question.get("mask", ""), model.num_patches),
            settings=Settings.read(question.get("settings"), self.limits),
            limits=self.limits,
        )
        if energy and not request.has_energy:
            raise UsageError(f"{request.model_name} has no energy to descend: choose an Energy Transformer.")
        return request

    def trace(self, request: Request, keep_attention: bool = False) -> Trace:
        """The descent of a request. The last few are kept, so that a closer look takes no second descent."""
        key = request.key()
        return self._traces.get(
            (key, keep_attention), lambda: request.compute_trace(keep_attention, self._begun.find(key))
        )

    def first_steps(self, request: Request) -> Trace | None:
        """The first steps of `trace`, which goes on from them; None where there is nothing to be gained by that."""
        key = request.key()
        if self._traces.find((key, False)) is not None:
            return None
        with self.lock:
            begun = self._begun.find(key) or request.begin_trace()
            return None if begun is None else self._begun.get(key, lambda: begun)

    def in_turns(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The same pieces. Each one is computed under the lock, which is free for others between two pieces."""
        while True:
            with self.lock:
                try:
                    piece = next(pieces)
                except StopIteration:
                    return
            yield piece
            time.sleep(TURN)  # without it, this thread takes the lock again before anybody who waits for it

    # ---- what is asked -------------------------------------------------------------------------------------------

    def start(self) -> dict:
        """What the page shows at first: `menus`, and a descent."""
        menus = self.menus()
        indices = [thumb["index"] for thumb in menus["gallery"]["thumbs"]]
        return {**menus, "answer": READINGS["trace"](self, self._opening(indices))}

    def menus(self) -> dict:
        """What there is to choose from: models, datasets, the first pictures, and within which limits."""
        gallery = READINGS["gallery"](self, {"model": self.first, "dataset": self.galleries[0], "page": 0})
        return {
            "models": [self.menu_entry(name) for name in self.checkpoints],
            "datasets": [{"name": name, "title": title(name)} for name in self.galleries],
            "gallery": gallery,
            "note": self.note,
            "limits": self.limits.for_page(),
            "uploads": True,
            "offers": self.downloads.offers(),
        }

    def _opening(self, indices: list[int]) -> dict:
        """The question that the page begins with, about one of these pictures of the first gallery."""
        model, dataset = self.model(self.first), self.galleries[0]
        mask = opening_mask(model.num_patches)
        with self.lock:
            chosen = typical_picture(model, self.pictures(dataset, model.img_size).at(indices), mask)
        picture = {"dataset": dataset, "index": indices[chosen]}
        return {"seq": 0, "model": self.first, "picture": picture, "mask": mask_to_hex(mask)}

    def ask(self, question: dict) -> dict:
        """Answer a question by the one of the `READINGS` that its kind names.

        Raises:
            UsageError: there is no such reading, or something else in the question is wrong.
        """
        kind = a_dict(question).get("kind", "trace")
        if not isinstance(kind, str) or kind not in READINGS:
            raise UsageError(NOT_UNDERSTOOD)
        return READINGS[kind](self, question)

    def read_file(self, question: dict) -> dict:
        """Read an uploaded picture as {pixels}, in the size of a model.

        Args:
            question: {data: the file in base64, model: a name}, from outside.

        Raises:
            UsageError: the file is no picture that can be read, or there is no such model.
        """
        question = a_dict(question)
        size = self.model(question.get("model")).img_size
        data = decode_upload(question.get("data"), self.limits)
        return {"pixels": raw_pixels(read_upload(data, size, self.limits))}

    def politely(self, act: Callable[..., dict], *arguments: object) -> dict:
        """Run ``act``. Where it cannot answer, or too many people are waiting, return {error: a sentence}.

        A mistake of the app's own is in the log, with its traceback.
        """
        if not self._places.acquire(blocking=False):
            return {"error": "Too many people are asking at once: try again in a moment."}
        try:
            return act(*arguments)
        except UsageError as error:
            return {"error": str(error)}
        except Exception:
            LOG.exception("The app could not answer:")
            return {"error": FAILED}
        finally:
            self._places.release()

    def _picture(self, picture: dict, size: int) -> tuple[Tensor, dict, str]:
        """A picture (3, size, size) uint8, what to ask for to get it again, and its caption."""
        if "pixels" in picture:
            name = str(picture.get("name", "picture"))[:80]
            again = {"pixels": picture["pixels"], "name": name}
            pixels, caption = own_picture(picture["pixels"], name, size)
            return pixels, again, caption
        dataset, index = picture.get("dataset", self.galleries[0]), picture.get("index")
        pictures = self.pictures(dataset, size)
        if type(index) is not int or not 0 <= index < len(pictures):
            raise UsageError(f"There is no picture {str(index)[:20]}: choose 0 to {len(pictures) - 1}.")
        return pictures.at([index])[0], {"dataset": dataset, "index": index}, pictures.caption(index)


def own_picture(text: str, name: str, size: int) -> tuple[Tensor, str]:
    """An upload (3, size, size) uint8 and its caption. It may come in the size of another model."""
    pixels = decode_pixels(text)
    side = pixels.shape[-1]
    if side == size:
        return pixels, f"Your {name}, cropped and resized to {size}x{size}"
    resized = resize(pixels[None], size)[0]
    return resized, f"Your {name}, {'enlarged' if side < size else 'shrunk'} from {side}x{side} to {size}x{size}"


def explorable(checkpoint: str) -> dict[str, str]:
    """The shipped models with an energy, and ``checkpoint``: name in the menu -> where to load it from.

    Raises:
        UsageError: there is no such checkpoint, or its model has no energy to descend.
    """
    if not _has_energy(checkpoint):
        raise UsageError(f"The model of {checkpoint!r} has no energy to descend: choose an Energy Transformer.")
    shipped = {name: name for name in list_checkpoints() if name == checkpoint or _is_sound(name, _has_energy)}
    if checkpoint in shipped:
        return shipped
    name = Path(checkpoint).resolve().name
    return {checkpoint if name in shipped else name: checkpoint, **shipped}


def comparable() -> dict[str, str]:
    """The shipped models that fill in hidden patches without an energy, such as MAE: name -> where to load it from."""
    return {name: name for name in list_checkpoints() if _is_sound(name, _fills_in_at_once)}


def _has_energy(checkpoint: str) -> bool:
    kind = _model_class(checkpoint)
    return kind is not None and kind.has_energy


def _fills_in_at_once(checkpoint: str) -> bool:
    kind = _model_class(checkpoint)
    return kind is not None and not kind.has_energy and not kind.sees_hidden_patches


def _model_class(checkpoint: str) -> type[MaskedImageModel] | None:
    return MODELS.get(load_config(checkpoint)["model"]["name"])


def _is_sound(checkpoint: str, suits: Callable[[str], bool]) -> bool:
    """Whether a shipped checkpoint can be offered; a broken one is left out of the menu."""
    try:
        return suits(checkpoint)
    except UsageError:
        return False


def _time_written(checkpoint: str, snapshot: str | None) -> int:
    """When the weights were written, in nanoseconds; 0 where they are gone, so that loading them reports it."""
    folder = find_checkpoint(checkpoint)
    weights = folder / WEIGHTS if snapshot is None else folder / SNAPSHOTS / snapshot
    return weights.stat().st_mtime_ns if weights.is_file() else 0


def grid_of(checkpoint: str) -> dict[str, int]:
    """Into how many patches a checkpoint's model cuts a picture, and of what size in pixels. Does not load the model.

    Returns:
        {patches, size}.
    """
    config = dict(load_config(checkpoint)["model"])
    sizes = model_config(config.pop("name"), **config)
    return {"patches": (sizes["img_size"] // sizes["patch_size"]) ** 2, "size": sizes["img_size"]}


def facts(checkpoint: str) -> str:
    """One line from a checkpoint's card, with whatever the card holds; empty where it is damaged."""
    try:
        card = load_card(checkpoint)
    except UsageError:
        return ""
    parameters, dataset = card.get("parameters"), card.get("dataset")
    psnr = card.get("metrics", {}).get("test", {}).get("masked_psnr")
    parts = [
        f"{parameters:,} parameters" if isinstance(parameters, int) else "",
        f"trained on {dataset}" if isinstance(dataset, str) else "",
        f"test masked PSNR {psnr:.2f} dB" if isinstance(psnr, float) else "",
    ]
    return " · ".join(part for part in parts if part)
