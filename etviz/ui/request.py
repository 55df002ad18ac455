"""What a question is about, once it is known to make sense: a model, a picture, a mask, and how to descend."""

import hashlib
import math
from dataclasses import dataclass

from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import mask_to_hex
from etviz.models import MaskedImageModel

MAX_STEPS = 60
SETTLING_STEPS = 200  # the limit of a descent that runs until it settles
SETTLED = 1e-4  # a step that changes the energy by less than this share of it has settled


def a_dict(given: object) -> dict:
    """What came from outside, once it is known to have keys. Raises `UsageError` otherwise."""
    if not isinstance(given, dict):
        raise UsageError("The app did not understand the page: reload it.")
    return given


def a_number(given: object, name: str, count: int) -> int:
    """What came from outside, once it is known to be a whole number below ``count``. Raises `UsageError` otherwise."""
    if type(given) is not int or not 0 <= given < count:
        raise UsageError(f"There is no {name} {str(given)[:20]}: they are numbered 0 to {count - 1}.")
    return given


@dataclass(frozen=True)
class Settings:
    """How to descend; None stands for the model's own."""

    steps: int | None = None
    step_size: float | None = None
    beta: float | None = None
    rule: str = "fixed"
    settle: bool = False

    @classmethod
    def read(cls, given: object) -> "Settings":
        """From outside: {steps, step_size, beta, rule, settle}, each of which may be missing or null.

        Raises:
            UsageError: a value of the wrong kind or out of range.
        """
        given = {} if given is None else a_dict(given)
        steps = given.get("steps")
        if steps is not None and (type(steps) is not int or not 1 <= steps <= MAX_STEPS):
            raise UsageError(f"The number of steps is a whole number from 1 to {MAX_STEPS}, not {str(steps)[:20]}.")
        rule = "fixed" if given.get("rule") is None else given["rule"]
        if rule not in ("fixed", "backtracking"):
            raise UsageError(f"There is no step rule {str(rule)[:20]!r}: it is fixed or backtracking.")
        step_size = _positive(given.get("step_size"), "The step size")
        return cls(steps, step_size, _positive(given.get("beta"), "beta"), rule, given.get("settle") is True)

    def arguments(self) -> dict:
        """As `Trace`-making functions take them."""
        chosen = dict(steps=self.steps, step_size=self.step_size, beta=self.beta, rule=self.rule)
        return chosen | (dict(steps=SETTLING_STEPS, tolerance=SETTLED) if self.settle else {})


def _positive(value: object, name: str) -> float | None:
    """A number from outside that must be above 0 and of a sane size, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name} must be a number, not {str(value)[:20]}.")
    if not 1e-6 <= value <= 1e6:
        raise UsageError(f"{name} must lie between 0.000001 and 1,000,000, not {str(value)[:20]}.")
    return float(value)


@dataclass(frozen=True)
class Request:
    """Everything that a descent depends on."""

    model: MaskedImageModel
    model_name: str
    snapshot: str | None  # a file of the checkpoint's snapshots, or its final weights
    image: Tensor  # (3, S, S) float in [0, 1]
    picture: dict  # what to ask for to get the image again
    caption: str
    mask: Tensor  # (1, N) bool, True = hidden
    settings: Settings

    @property
    def has_energy(self) -> bool:
        """Whether the model descends on an energy; others rebuild a picture at once."""
        return self.model.has_energy

    def key(self) -> tuple:
        """What tells two requests apart, hashable. The model itself: a training may write a name's weights anew."""
        pixels = hashlib.sha256(self.image.numpy().tobytes()).hexdigest()
        return self.model, pixels, mask_to_hex(self.mask), self.settings_key()

    def settings_key(self) -> tuple:
        """The settings in effect, hashable: the model's own are one thing, spelled out or not."""
        if not self.has_energy:
            return ()
        return tuple(value for name, value in self.effective_settings().items() if name != "own")

    def effective_settings(self) -> dict:
        """The settings with the model's own filled in, and those own ones under "own"."""
        own = own_settings(self.model)
        chosen = {key: value for key, value in vars(self.settings).items() if value is not None}
        return own | chosen | {"own": own}


def own_settings(model: MaskedImageModel) -> dict:
    """What a model's own descent takes: steps (of each block), step_size and beta."""
    descent = model.descent
    return dict(steps=descent.steps, step_size=descent.step_size, beta=descent.blocks[-1].beta)
