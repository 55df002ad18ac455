"""The service of a site: chosen models, and the first pictures of one dataset. It answers what is computed ahead."""

import dataclasses
from pathlib import Path

from etviz.checkpoints import load_model
from etviz.errors import UsageError
from etviz.examples import Pictures, galleries
from etviz.models import as_energy_model
from etviz.official import Source
from etviz.ui.service import Service


class SiteService(Service):
    """Answers questions about the models and pictures of a site.

    Args:
        models: names or paths of checkpoints; the page begins with the first.
        dataset, root: as `etviz.load_dataset` takes them.
        count: of pictures, from the first of the test split.

    Raises:
        UsageError: there is no such checkpoint or dataset, or a model has no energy.
    """

    def __init__(self, models: tuple[str, ...], dataset: str, root: str | None, count: int):
        self._chosen, self._count = names_of(models), count
        self._first_ones: dict[tuple, Pictures] = {}
        super().__init__(models[0], dataset, root)

    def find_models(self, checkpoint: str) -> dict[str, str]:
        return self._chosen

    def find_others(self) -> dict[str, str]:
        return {}

    def find_offers(self) -> dict[str, Source]:
        """Nothing: a site has no server that could fetch a model."""
        return {}

    def find_galleries(self, dataset: str) -> tuple[list[str], str]:
        (first, *_), note = galleries(dataset, self.root)
        return [first], note

    def pictures(self, dataset: object, size: int) -> Pictures:
        known = self._first_ones.get((dataset, size))
        if known is None:
            found = super().pictures(dataset, size)
            images, labels = found.images[: self._count], found.labels[: self._count]
            known = dataclasses.replace(found, images=images, labels=labels)
            self._first_ones[dataset, size] = known
        return known


def names_of(models: tuple[str, ...]) -> dict[str, str]:
    """The name of each model in the menu -> where its checkpoint is.

    Raises:
        UsageError: one cannot be loaded or shown, or two have one name.
    """
    found: dict[str, str] = {}
    for place in models:
        name = Path(place).name or place
        if name in found:
            raise UsageError(f"Two models are called {name!r}: a site needs different names.")
        check_model(place)
        found[name] = place
    return found


def check_model(place: str) -> None:
    """Raise `UsageError` unless a site can show the checkpoint's descent."""
    model = as_energy_model(load_model(place))
    if model.in_chans != 3:
        raise UsageError(f"The explorer paints on colour images, and {place!r} takes {model.in_chans} channels.")
