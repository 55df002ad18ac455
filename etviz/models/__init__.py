"""One registry, one factory. Models import no Gradio, no matplotlib, no Hydra."""

import difflib
import inspect
from collections.abc import Mapping

from etviz.errors import UsageError
from etviz.models.asymmetric import AsymmetricEnergyTransformer
from etviz.models.base import MaskedImageModel, complete
from etviz.models.beit import BEiT
from etviz.models.energy_transformer import EnergyTransformer, Trace
from etviz.models.mae import MAE
from etviz.models.mixedae import MixedAE
from etviz.models.simmim import SimMIM
from etviz.models.tokenizer import Tokenizer

MODELS = {
    "et": EnergyTransformer,
    "et_asym": AsymmetricEnergyTransformer,
    "mae": MAE,
    "beit": BEiT,
    "simmim": SimMIM,
    "mixedae": MixedAE,
    "tokenizer": Tokenizer,  # what beit needs first, no masked image model itself
}

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
        UsageError: no model or option of that name, or sizes that do not fit.
    """
    options = model_options(name)
    for option in overrides:
        if option not in options:
            raise UsageError(f"Model {name!r} has no option {option!r}{suggestion(option, options)}.")
    values = {option: _plain(value) for option, value in {**options, **overrides}.items()}
    model = MODELS[name](**values)
    config = {key: value.config if isinstance(value, MaskedImageModel) else value for key, value in values.items()}
    model.name, model.config = name, config
    return model


def model_options(name: str) -> dict:
    """The options of a model and their defaults. Raises `UsageError` where there is no such model."""
    if name not in MODELS:
        raise UsageError(f"There is no model {name!r}: choose one of {', '.join(MODELS)}.")
    return {p.name: p.default for p in inspect.signature(MODELS[name]).parameters.values()}


def suggestion(word: str, known, there_are: str = "it has") -> str:
    """' (did you mean x?)' where something known is close, else a list of what there is."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else f": {there_are} {', '.join(known)}"


def _plain(value):
    """Sequences (Hydra's lists too) as tuples, so that a configuration can be compared and written."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return tuple(value) if not isinstance(value, str) and hasattr(value, "__iter__") else value
