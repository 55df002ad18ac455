"""Sliders that go with the explorer, by ipywidgets. A descent is computed when a slider is released."""

import math

import ipywidgets
import torch

from etviz.masks import random_mask
from etviz.ui.request import own_settings

DECADES = 2.0  # the range of a slider, on either side of the model's own value
ROW = {"style": {"description_width": "110px"}, "layout": {"width": "420px"}, "continuous_update": False}


def make_controls(explorer) -> ipywidgets.VBox:
    """Sliders for the step size, for beta, and for the share of patches to hide at random.

    The first two also follow the explorer's settings.

    Args:
        explorer: an `etviz.ui.widget.Explorer`.
    """
    sliders = {name: setting_slider(explorer, name) for name in ("step_size", "beta")}
    return ipywidgets.VBox([*sliders.values(), ratio_slider(explorer)])


def setting_slider(explorer, name: str) -> ipywidgets.FloatLogSlider:
    """A slider for one of the explorer's settings, on a logarithmic scale around the model's own value."""
    middle = math.log10(own_settings(explorer.model)[name])
    bounds = {"min": middle - DECADES, "max": middle + DECADES, "step": 0.05}
    words = {"description": name.replace("_", " "), "readout_format": ".3g"}
    slider = ipywidgets.FloatLogSlider(value=explorer.settings[name], **bounds, **words, **ROW)

    def descend(change: dict) -> None:
        explorer.settings = explorer.settings | {name: change["new"]}

    def follow(change: dict) -> None:
        slider.unobserve(descend, "value")  # or a value beyond the slider's ends would come back cut off
        slider.value = change["new"][name]
        slider.observe(descend, "value")

    slider.observe(descend, "value")
    explorer.observe(follow, "settings")
    return slider


def ratio_slider(explorer) -> ipywidgets.FloatSlider:
    """A slider that draws a new mask. All masks have one seed, so that a larger share only adds hidden patches."""
    share = explorer.mask.float().mean().item()
    slider = ipywidgets.FloatSlider(value=share, min=0, max=1, step=0.05, description="share hidden", **ROW)

    def draw(change: dict) -> None:
        generator = torch.Generator().manual_seed(0)
        explorer.mask = random_mask(1, change["new"], explorer.model.num_patches, generator)

    slider.observe(draw, "value")
    return slider
