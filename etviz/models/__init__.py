"""One registry, one factory. Models import no Gradio, no matplotlib, no Hydra."""

import difflib
import inspect
import itertools
import typing

import torch

from etviz.errors import UsageError
from etviz.models.asymmetric import AsymmetricEnergyTransformer
from etviz.models.base import MaskedImageModel, complete
from etviz.models.beit import BEiT
from etviz.models.energy_transformer import EnergyTransformer, Trace
from etviz.models.mae import MAE
from etviz.models.mixedae import MixedAE
from etviz.models.simmim import SimMIM
from etviz.models.tokenizer import Tokenizer
from etviz.options import check_options

MODELS = {
    "et": EnergyTransformer,
    "et_asym": AsymmetricEnergyTransformer,
    "mae": MAE,
    "beit": BEiT,
    "simmim": SimMIM,
    "mixedae": MixedAE,
    "tokenizer": Tokenizer,  # what beit needs first, no masked image model itself
}
MAX_PARAMETERS = 1_000_000_000  # 4 GB in float32, and three times that again with AdamW

__all__ = [
    "MAE",
    "MODELS",
    "AsymmetricEnergyTransformer",
    "BEiT",
    "EnergyTransformer",
    "MaskedImageModel",
    "MixedAE",
    "SimMIM",
    "Tokenizer",
    "Trace",
    "complete",
    "create_model",
    "model_options",
]


def create_model(name: str, **overrides) -> MaskedImageModel:
    """Build an untrained model by name, with any constructor argument overridden.

    A model given as an option (BEiT's tokenizer) is recorded in ``config`` by its own configuration.

    Raises:
        UsageError: no model or option of that name, a value of another kind, or sizes that do not fit.
    """
    options = model_config(name, **overrides)
    size = _size(name, options)
    if size > MAX_PARAMETERS:
        raise UsageError(f"This model would have {size:,} parameters: {MAX_PARAMETERS:,} is the most.")
    model = MODELS[name](**options)
    model.name, model.config = name, {key: _plain(value) for key, value in options.items()}
    return model


def model_config(name: str, **overrides) -> dict:
    """Every option of a model with its value, each of its annotation's kind. Raises `UsageError` as `create_model`."""
    options = model_options(name)
    for option in overrides:
        if option not in options:
            raise UsageError(f"Model {name!r} has no option {option!r}{suggestion(option, options)}.")
    annotations = typing.get_type_hints(MODELS[name].__init__, include_extras=True)
    return check_options({**options, **overrides}, annotations)


def model_options(name: str) -> dict:
    """The options of a model and their defaults. Raises `UsageError` where there is no such model."""
    if not isinstance(name, str) or name not in MODELS:
        raise UsageError(f"There is no model {name!r}: choose one of {', '.join(MODELS)}.")
    return {p.name: p.default for p in inspect.signature(MODELS[name]).parameters.values()}


def suggestion(word: str, known, there_are: str = "it has") -> str:
    """' (did you mean x?)' where something known is close, else a list of what there is."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else f": {there_are} {', '.join(known)}"


def _size(name: str, options: dict) -> int:
    """Numbers that a model would hold, its parameters and fixed tables; 0 where that shows only once it is made."""
    try:
        with torch.device("meta"):  # sizes only: nothing is allocated
            model = MODELS[name](**options)
    except RuntimeError:  # some of transformers' models compute while they are made
        return 0
    return sum(tensor.numel() for tensor in itertools.chain(model.parameters(), model.buffers()))


def _plain(value):
    """An option as a configuration holds it: a model by its own configuration, YAML's lists as tuples."""
    value = value.config if isinstance(value, MaskedImageModel) else value
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value
