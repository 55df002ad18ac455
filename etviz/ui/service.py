"""What the page asks for: traces of shared models. Nothing here belongs to a session, so nothing can cross over."""

import os
import threading
from pathlib import Path

import torch
from torch import Tensor

from etviz.checkpoints import list_checkpoints, load_card, load_config, load_model
from etviz.data import to_float
from etviz.errors import UsageError
from etviz.masks import mask_from_hex, mask_to_hex, random_mask
from etviz.models import MODELS, MaskedImageModel, model_options
from etviz.ui.payload import decode_pixels, encode_pixels, payload
from etviz.ui.pictures import Pictures, load_pictures
from etviz.ui.uploads import MAX_BYTES, read_upload

MAX_WAITING = 32  # questions at once; more are turned away with a sentence
THUMBS = 12


class Service:
    """Answers questions about masks. Models are shared by everybody and used by one question at a time.

    Args:
        checkpoint: name or path of the model to begin with.
        dataset, root: as `etviz.load_dataset` takes them.

    Raises:
        UsageError: no such checkpoint or dataset, or a model without an energy.
    """

    def __init__(self, checkpoint: str, dataset: str = "cifar10", root: str | None = None):
        self.checkpoints = explorable(checkpoint)
        self.dataset, self.root = dataset, root
        self._models: dict[str, MaskedImageModel] = {}
        self._pictures: dict[int, Pictures] = {}
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_WAITING)
        self.first = next(name for name, place in self.checkpoints.items() if place == checkpoint)
        self.pictures(self.model(self.first).img_size)

    def model(self, name: str) -> MaskedImageModel:
        """A model by its name in the menu, loaded when first asked for; names from outside never become paths."""
        if not isinstance(name, str) or name not in self.checkpoints:
            raise UsageError(f"There is no model {str(name)[:60]!r} here: choose one from the menu.")
        if name not in self._models:
            self._models[name] = load_model(self.checkpoints[name])
        return self._models[name]

    def pictures(self, size: int) -> Pictures:
        """The pictures to choose from, at a model's size."""
        if size not in self._pictures:
            self._pictures[size] = load_pictures(self.dataset, self.root, size)
        return self._pictures[size]

    def start(self) -> dict:
        """What the page shows before anybody asks: the menu, thumbnails, and a first descent."""
        model = self.model(self.first)
        pictures = self.pictures(model.img_size)
        chosen = pictures.highlights(THUMBS)
        mask = random_mask(1, num_patches=model.num_patches, generator=torch.Generator().manual_seed(0))
        question = {"seq": 0, "model": self.first, "picture": {"index": chosen[0]}, "mask": mask_to_hex(mask)}
        return {
            "models": [
                {"name": name, "facts": facts(place), "patches": count_patches(place)}
                for name, place in self.checkpoints.items()
            ],
            "thumbs": [
                {"index": i, "caption": pictures.caption(i), "image": encode_pixels(pictures.images[i])} for i in chosen
            ],
            "count": len(pictures.images),
            "note": pictures.note,
            "uploads": {"bytes": MAX_BYTES},
            "answer": self.trace(question),
        }

    def trace(self, question: dict) -> dict:
        """One descent.

        Args:
            question: {seq, model: a name, picture: {index} or {pixels, name}, mask: hexadecimal}, from outside.

        Returns:
            `payload`, and seq, model, picture and a caption.

        Raises:
            UsageError: anything in the question is not what it should be.
        """
        question = _a_dict(question)
        with self._lock:
            model = self.model(question.get("model"))
            image, picture, caption = self._picture(question.get("picture"), model.img_size)
            mask = mask_from_hex(question.get("mask"), model.num_patches)
            image = to_float(image)
            trace = model.trace(image[None], mask, keep_attention=False)
        about = {"seq": question.get("seq"), "model": question["model"], "picture": picture, "caption": caption}
        return {**about, **payload(trace, image, mask)}

    def read_file(self, question: dict, folder: str) -> dict:
        """An uploaded picture as {pixels}, at a model's size; the file is deleted.

        Args:
            question: {path, model: a name}, from outside.
            folder: where uploads land; a path that leads anywhere else is refused.
        """
        question = _a_dict(question)
        inside = Path(os.path.realpath(str(question.get("path"))))
        if not inside.is_relative_to(os.path.realpath(folder)) or not inside.is_file():
            raise UsageError("The picture did not arrive: upload it again.")
        try:
            with self._lock:
                size = self.model(question.get("model")).img_size
            return {"pixels": encode_pixels(read_upload(inside, size))}
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
        picture = _a_dict(picture)
        if "pixels" in picture:
            name = str(picture.get("name", "picture"))[:80]
            again = {"pixels": picture["pixels"], "name": name}
            return decode_pixels(picture["pixels"], size), again, f"Your {name}, cropped and shrunk to {size}x{size}"
        pictures, index = self.pictures(size), picture.get("index")
        if type(index) is not int or not 0 <= index < len(pictures.images):
            raise UsageError(f"There is no picture {str(index)[:20]}: choose 0 to {len(pictures.images) - 1}.")
        return pictures.images[index], {"index": index}, pictures.caption(index)


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


def _a_dict(question: object) -> dict:
    """What came from outside, once it is known to have keys."""
    if not isinstance(question, dict):
        raise UsageError("The app did not understand the page: reload it.")
    return question


def _has_energy(checkpoint: str) -> bool:
    return hasattr(MODELS.get(load_config(checkpoint)["model"]["name"]), "trace")


def _is_sound(checkpoint: str) -> bool:
    """Whether a shipped checkpoint can be offered; a broken one is left out of the menu."""
    try:
        return _has_energy(checkpoint)
    except UsageError:
        return False


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
        f"{psnr:.2f} dB on hidden test pixels" if psnr else "",
    ]
    return " · ".join(part for part in parts if part)
