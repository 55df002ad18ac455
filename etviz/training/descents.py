"""Coarse to fine: how many steps a batch descends, and how large they are.

T steps of size a are one discretisation of a flow of the length T a. Fewer, larger steps of the same flow cost less and
teach about the same weights; a model that has seen several discretisations works at each of them.
"""

from collections.abc import Sequence

from etviz.models import EnergyModel, MaskedImageModel
from etviz.training.config import TrainConfig

OWN_PART = (
    (1, 0.6),
    (1 / 2, 0.15),
    (1 / 4, 0.15),
    (5 / 3, 0.1),
)  # of the model's steps, and how often, in the last part


def draw_descent(model: MaskedImageModel, config: TrainConfig, progress: float, draws: Sequence[float]) -> dict:
    """The settings ``steps`` and ``step_size`` of one batch's descent; none where the model's own hold.

    Args:
        model: one without an energy has no descent: the options are then ignored.
        progress: share of the run that is done. From config.own_steps_from on most batches descend as the model will,
            some in a half or a quarter of the steps, and some further than it will, so that the picture stays.
        draws: two numbers in [0, 1) that decide.
    """
    if not isinstance(model, EnergyModel) or model.descent.steps == 0:
        return {}
    own, size = model.descent.steps, model.descent.step_size
    if progress >= config.own_steps_from:
        share = pick(OWN_PART, draws[0])
        steps = max(1, round(own * share))
        return {"steps": steps, "step_size": size if share > 1 else own * size / steps}
    low, high = config.flow_time
    if not config.descent_steps and low == high == 1:
        return {}
    steps = pick(config.descent_steps, draws[0]) if config.descent_steps else own
    return {"steps": steps, "step_size": own * size * (low + (high - low) * draws[1]) / steps}


def pick(weighted: Sequence[tuple], draw: float):
    """The value that a number in [0, 1) falls on, of (value, weight) pairs."""
    left = draw * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        left -= weight
        if left < 0:
            return value
    return weighted[-1][0]  # by rounding
