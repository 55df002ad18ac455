"""Live views for notebooks: the explorer, by anywidget (JupyterLab, VS Code, Colab, marimo), and a training."""

import base64
import copy
import dataclasses
from collections.abc import Sequence

import anywidget
import torch
import traitlets
from torch import Tensor

from etviz.analysis.inputs import check_number
from etviz.errors import UsageError
from etviz.examples import Pictures
from etviz.masks import check_mask, mask_from_hex, mask_to_hex, random_mask
from etviz.models import EnergyModel, Trace
from etviz.plots.film import film_strip
from etviz.plots.style import figure_bytes
from etviz.ui.bundle import bundle, styles
from etviz.ui.monitor import NotebookProgress, TrainingMonitor
from etviz.ui.notebook_service import NotebookService
from etviz.ui.payload import to_bytes
from etviz.ui.request import Request, Settings, own_settings

__all__ = ["Explorer", "NotebookProgress", "TrainingMonitor"]

VIEWS = ("explore", "energy", "attention", "memories", "landscape")  # the views that need no other model
SOURCE = "Image"  # what the captions call a picture
FALLBACK_DPI = 100


class Explorer(anywidget.AnyWidget):
    """Paint a mask on an image, walk through the descent, and use both in Python.

    ``mask``, ``image_index`` and ``settings`` can be read, set and observed. Setting one of them computes a new descent
    at once, with or without a page. To change the mask, assign a new one: a change inside the tensor is not noticed. In
    a saved notebook, and wherever widgets do not run, the film strip of the last descent is shown instead.

    Args:
        model: with an energy, for colour images. The explorer copies it to the CPU: to see a model that has been
            trained further, make a new explorer.
        images: (B, 3, S, S) uint8, or float in [0, 1], rounded to 8 bits as the page shows them.
        labels: B words.
        mask: the first mask, (1, N) bool, True = hidden; 85% at random where None.
        views: names of the page's tabs.
        settings: steps, step_size, beta, rule and settle as `etviz.ui.request.Settings.read` takes them; the model's
            own where left out.

    Raises:
        UsageError: the model has no energy, the images or labels do not fit it, or as the traits below.
    """

    _esm = bundle("widget.js")
    _css = styles()

    mask = traitlets.Instance(
        Tensor, help="(1, N) bool, True = hidden. Raises UsageError where it does not fit the model."
    ).tag(
        sync=True,
        to_json=lambda mask, _: mask_to_hex(mask),
        from_json=lambda text, explorer: mask_from_hex(text, explorer.model.num_patches),
    )
    image_index = traitlets.Int(0, help="Which of the images, from 0. Raises UsageError beyond them.").tag(sync=True)
    settings = traitlets.Dict(help="How to descend, with the model's own values where left out.").tag(sync=True)
    trace = traitlets.Instance(Trace, read_only=True, help="The descent of this image under this mask.")
    views = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        model: EnergyModel,
        images: Tensor,
        labels: Sequence[object] | None = None,
        mask: Tensor | None = None,
        views: Sequence[str] = VIEWS,
        **settings,
    ):
        check_model(model)
        pictures = Pictures(as_bytes(images, model.img_size), as_words(labels, len(images)), SOURCE)
        self.model = copy.deepcopy(model).cpu().eval()
        self.service = NotebookService(self.model, pictures)
        if mask is None:
            mask = random_mask(1, num_patches=model.num_patches, generator=torch.Generator().manual_seed(0))
        check_mask(mask, 1, model.num_patches)
        super().__init__(mask=mask.cpu(), settings=effective(model, settings), views=list(views))
        self.on_msg(self._hear)

    @property
    def image(self) -> Tensor:
        """The image that is masked, (1, 3, S, S) float in [0, 1], as `etviz.plots` takes it together with ``trace``."""
        return self._request().image[None]

    def controls(self):
        """Sliders for the step size, beta and the share of hidden patches, by ipywidgets. The explorer follows them."""
        from etviz.ui.controls import make_controls

        return make_controls(self)

    # ---- what can be set, and what follows from it ---------------------------------------------------------------

    @traitlets.validate("mask")
    def _check_mask(self, proposal: dict) -> Tensor:
        check_mask(proposal["value"], 1, self.model.num_patches)
        return proposal["value"].cpu()

    @traitlets.validate("image_index")
    def _check_index(self, proposal: dict) -> int:
        check_number("image_index", proposal["value"], len(self.service.pictures(SOURCE, self.model.img_size)))
        return proposal["value"]

    @traitlets.validate("settings")
    def _check_settings(self, proposal: dict) -> dict:
        return effective(self.model, proposal["value"])

    @traitlets.observe("mask", "image_index", "settings")
    def _descend(self, _change: dict) -> None:
        if not self.trait_has_value("mask") or not self.settings:
            return  # several are being set, and this is the first
        trace = self.service.trace(self._request(), keep_attention=True)
        if not self.trait_has_value("trace") or trace is not self.trace:
            self.set_trait("trace", trace)

    def _question(self) -> dict:
        picture = {"dataset": SOURCE, "index": self.image_index}
        settings = {"model": self.service.first, "settings": self.settings}
        return {"seq": 0, "picture": picture, "mask": mask_to_hex(self.mask), **settings}

    def _request(self) -> Request:
        return self.service.read_request(self._question())

    # ---- the page ------------------------------------------------------------------------------------------------

    def _hear(self, _widget: object, message: dict, _buffers: list) -> None:
        """Answer one question from a page."""
        question = message["question"]
        act = self._start if question.get("kind") == "start" else self.service.ask
        self.send({"id": message["id"], "answer": self.service.politely(act, question)})

    def _start(self, _question: dict) -> dict:
        """What a page shows at first: the present state. No uploads, since the images are the notebook's."""
        start = self.service.menus() | {"answer": self.service.ask(self._question())}
        start.pop("uploads")
        return start

    def __repr__(self) -> str:
        hidden, count = int(self.mask.sum()), len(self.service.pictures(SOURCE, self.model.img_size))
        return f"Explorer: image {self.image_index} of {count}, {hidden} of {self.model.num_patches} patches hidden"

    def _repr_mimebundle_(self, **kwargs) -> tuple[dict, dict]:
        """The widget, and a picture for wherever widgets do not run."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        strip = figure_bytes(film_strip(self.trace, self.image), dpi=FALLBACK_DPI)
        return data | {"image/png": base64.b64encode(strip).decode()}, metadata


def check_model(model: object) -> None:
    """Raise `UsageError` unless the page can show the model's descent."""
    if not isinstance(model, EnergyModel):
        raise UsageError("This model has no energy to descend: the explorer takes an Energy Transformer.")
    if model.in_chans != 3:
        raise UsageError(f"The explorer paints on colour images, and this model takes {model.in_chans} channels.")


def as_bytes(images: Tensor, size: int) -> Tensor:
    """Images as (B, 3, S, S) uint8 on the CPU. Raises `UsageError` where they do not have the model's ``size``."""
    if images.ndim != 4 or len(images) == 0 or images.shape[1:] != (3, size, size):
        raise UsageError(f"The explorer takes images of shape (B, 3, {size}, {size}), not {tuple(images.shape)}.")
    if images.dtype == torch.uint8:
        return images.cpu()
    if not images.is_floating_point() or images.min() < 0 or images.max() > 1:
        raise UsageError("The explorer takes images as uint8, or as floating point between 0 and 1.")
    return to_bytes(images).cpu()


def as_words(labels: Sequence[object] | None, count: int) -> list[str]:
    """One word for each image. Raises `UsageError` where there are more or fewer."""
    words = [""] * count if labels is None else [str(label) for label in labels]
    if len(words) != count:
        raise UsageError(f"There are {count} images and {len(words)} labels: give one for each.")
    return words


def effective(model: EnergyModel, settings: dict) -> dict:
    """Settings in effect, with the model's own values filled in. Raises `UsageError` for an unknown setting."""
    known = [field.name for field in dataclasses.fields(Settings)]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise UsageError(f"There is no setting {unknown[0]!r}: there are {', '.join(known)}.")
    return own_settings(model) | Settings.read(settings).chosen()
