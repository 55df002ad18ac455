"""One registry, one factory. Models import no Gradio, no matplotlib, no Hydra."""

import contextlib
from collections.abc import Iterator

import torch

from etviz.errors import UsageError
from etviz.models.asymmetric import AsymmetricEnergyTransformer
from etviz.models.base import MaskedImageModel, complete
from etviz.models.beit import BEiT
from etviz.models.energy_model import EnergyModel, as_energy_model
from etviz.models.energy_transformer import EnergyTransformer
from etviz.models.mae import MAE
from etviz.models.mixedae import MixedAE
from etviz.models.simmim import SimMIM
from etviz.models.size import SizeLimit
from etviz.models.tokenizer import Tokenizer
from etviz.models.trace import TokenTrace, Trace, joined_traces
from etviz.options import constructor_options, defaults, suggestion

MODELS = {
    "et": EnergyTransformer,
    "et_asym": AsymmetricEnergyTransformer,
    "mae": MAE,
    "beit": BEiT,
    "simmim": SimMIM,
    "mixedae": MixedAE,
    "tokenizer": Tokenizer,  # which beit needs first; no masked image model itself
}
ENERGY_MODELS = tuple(name for name, kind in MODELS.items() if kind.has_energy)
MAX_PARAMETERS = 1_000_000_000  # 4 GB in float32, and three times that again with AdamW

__all__ = [
    "ENERGY_MODELS",
    "MAE",
    "MODELS",
    "AsymmetricEnergyTransformer",
    "BEiT",
    "EnergyModel",
    "EnergyTransformer",
    "MaskedImageModel",
    "MixedAE",
    "SimMIM",
    "TokenTrace",
    "Tokenizer",
    "Trace",
    "as_energy_model",
    "complete",
    "create_model",
    "joined_traces",
    "model_options",
    "suggestion",
]


def create_model(name: str, **overrides) -> MaskedImageModel:
    """Build an untrained model by name, with any constructor argument overridden: in float32 and on the CPU.

    A model given as an option (BEiT's tokenizer) is recorded in ``config`` by its own configuration.

    Raises:
        UsageError: no model or option of that name, a value of another kind, or sizes that do not fit.
    """
    options = model_config(name, **overrides)
    with SizeLimit(MAX_PARAMETERS), _ordinary_tensors():
        model = MODELS[name](**options)
    model.name, model.config = name, {key: _plain(value) for key, value in options.items()}
    return model


@contextlib.contextmanager
def _ordinary_tensors() -> Iterator[None]:
    """float32 and the CPU, whatever a program has made PyTorch's default: images are float32 too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(before)


def model_config(name: str, **overrides) -> dict:
    """Every option of a model with its value, each of its annotation's kind. Raises `UsageError` as `create_model`."""
    model_options(name)  # or there is no such model
    return constructor_options(MODELS[name], overrides, f"Model {name!r}")


def model_options(name: str) -> dict:
    """The options of a model and their defaults. Raises `UsageError` where there is no such model."""
    if not isinstance(name, str) or name not in MODELS:
        raise UsageError(f"There is no model {name!r}: choose one of {', '.join(MODELS)}.")
    return defaults(MODELS[name])


def _plain(value):
    """An option as a configuration holds it: a model by its own configuration, YAML's lists as tuples."""
    value = value.config if isinstance(value, MaskedImageModel) else value
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value
