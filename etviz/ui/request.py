"""A question from the page once it is checked: a model, a picture, a mask, and how to descend."""

import hashlib
import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

from torch import Tensor

from etviz.errors import UsageError
from etviz.masks import mask_to_hex
from etviz.models import EnergyModel, MaskedImageModel, Trace, as_energy_model, joined_traces
from etviz.models.descent import RULES, DescentSettings
from etviz.ui.limits import LIMITS, Limits

NOT_UNDERSTOOD = "The app did not understand the page: reload it."
FAILED = "The app could not answer this: its log says why."
LEAST, MOST = 1e-6, 1e6  # of a step size and of beta


def a_dict(given: object) -> dict:
    """A value from outside that must be a dict. Raises `UsageError` where it is not."""
    if not isinstance(given, dict):
        raise UsageError(NOT_UNDERSTOOD)
    return given


def a_number(given: object, name: str, count: int) -> int:
    """A value from outside that must be a whole number from 0 to ``count`` - 1. Raises `UsageError` where it is not."""
    if type(given) is not int or not 0 <= given < count:
        raise UsageError(f"There is no {name} {str(given)[:20]}: they are numbered 0 to {count - 1}.")
    return given


@dataclass(frozen=True)
class Settings:
    """How to descend, as the page asks for it. None stands for the model's own value."""

    steps: int | None = None
    step_size: float | None = None
    beta: float | None = None
    rule: str = "fixed"
    settle: bool = False  # descend until the state is stationary; ``steps`` then does not count

    @classmethod
    def read(cls, given: object, limits: Limits = LIMITS) -> "Settings":
        """Read settings from outside: {steps, step_size, beta, rule, settle}, each of which may be missing or null.

        Raises:
            UsageError: a value is of the wrong kind or out of range.
        """
        given = {} if given is None else a_dict(given)
        return cls(
            steps=_steps(given.get("steps"), limits.steps),
            step_size=_positive(given.get("step_size"), "The step size"),
            beta=_positive(given.get("beta"), "beta"),
            rule=_rule(given.get("rule")),
            settle=given.get("settle") is True,
        )

    def chosen(self) -> dict:
        """The settings that do not leave the choice to the model."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _steps(value: object, most: int) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value <= most):
        raise UsageError(f"The number of steps is a whole number from 1 to {most}, not {str(value)[:20]}.")
    return value


def _rule(value: object) -> str:
    rule = "fixed" if value is None else value
    if not isinstance(rule, str) or rule not in RULES:
        raise UsageError(f"There is no step rule {str(rule)[:20]!r}: choose one of {', '.join(RULES)}.")
    return rule


def _positive(value: object, name: str) -> float | None:
    if value is None:
        return None
    if not (type(value) is int or (isinstance(value, float) and math.isfinite(value))):  # an int may exceed all floats
        raise UsageError(f"{name} must be a number, not {str(value)[:20]}.")
    if not LEAST <= value <= MOST:
        raise UsageError(f"{name} must lie between {LEAST:f} and {MOST:,.0f}, not {str(value)[:20]}.")
    return float(value)


@dataclass(frozen=True)
class Request:
    """Everything that an answer depends on."""

    model: MaskedImageModel
    model_name: str
    snapshot: str | None  # the name of one of the checkpoint's snapshots, or None for the final weights
    image: Tensor  # (3, S, S) float in [0, 1]
    picture: dict  # what to ask for to get the image again
    caption: str
    mask: Tensor  # (1, N) bool, True = hidden
    settings: Settings
    limits: Limits = LIMITS

    @property
    def has_energy(self) -> bool:
        """Whether the model descends an energy; other models reconstruct a picture at once."""
        return self.model.has_energy

    @property
    def energy_model(self) -> EnergyModel:
        """The model. Raises `UsageError` where it has no energy."""
        return as_energy_model(self.model)

    @property
    def descent(self) -> DescentSettings:
        """The settings of the descent, with the model's own values filled in.

        Raises:
            UsageError: the model has no energy, or more steps of its own than a question may ask for.
        """
        asked = self.settings
        steps = self.limits.settling_steps if asked.settle else asked.steps
        tolerance = self.limits.settled if asked.settle else None
        own = self.energy_model.descent.steps  # whatever a run's configuration says
        if steps is None and own > self.limits.settling_steps:
            raise UsageError(f"{self.model_name} descends {own:,} steps: choose at most {self.limits.steps} of them.")
        return self.energy_model.descent.settings(
            steps=steps, step_size=asked.step_size, beta=asked.beta, rule=asked.rule, tolerance=tolerance
        )

    def compute_trace(self, keep_attention: bool = False, begun: Trace | None = None) -> Trace:
        """Descend, from the end of ``begun`` where that is given. Raises `UsageError` where the model has no energy."""
        model, settings = self.energy_model, self.descent
        if begun is None or keep_attention:
            return model.trace(self.image[None], self.mask, keep_attention=keep_attention, **vars(settings))
        rest = vars(replace(settings, steps=settings.steps - begun.settings.steps))
        start = begun.tokens[:, -1]
        return joined_traces(begun, model.trace(self.image[None], self.mask, keep_attention=False, start=start, **rest))

    def begin_trace(self) -> Trace | None:
        """The first steps of `compute_trace`; None where it has no more than that, or cannot be cut in two."""
        model, settings = self.energy_model, self.descent
        few = self.limits.first_steps
        if settings.steps <= few or settings.tolerance is not None or len(model.descent.blocks) > 1:
            return None
        few_steps = vars(replace(settings, steps=few))
        return model.trace(self.image[None], self.mask, keep_attention=False, **few_steps)

    def key(self) -> Hashable:
        """What tells two requests apart.

        It holds the model itself, not its name: a training may write new weights under the same name.
        """
        return self.model, self.descent if self.has_energy else None, *self.picture_key()

    def picture_key(self) -> tuple[str, str]:
        """What tells two masked pictures apart."""
        return hashlib.sha256(self.image.numpy().tobytes()).hexdigest(), mask_to_hex(self.mask)

    def settings_for_page(self) -> dict:
        """The settings in effect, as the page shows them, and the model's own under "own"."""
        own = own_settings(self.energy_model)
        return own | self.settings.chosen() | {"own": own}


def own_settings(model: EnergyModel) -> dict:
    """A model's own steps (in each block), step_size and beta."""
    descent = model.descent
    return {"steps": descent.steps, "step_size": descent.step_size, "beta": descent.beta}
