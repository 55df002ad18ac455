"""A service for a notebook, whose model and pictures are in memory already."""

from etviz.errors import UsageError
from etviz.examples import Pictures
from etviz.models import MaskedImageModel
from etviz.official import Source
from etviz.ui.service import Service


class NotebookService(Service):
    """Answers questions about one model and the pictures that come with it.

    Args:
        model: with an energy, on the CPU.
        pictures: in the model's size.
    """

    def __init__(self, model: MaskedImageModel, pictures: Pictures):
        self._model, self._own_pictures = model, pictures
        super().__init__(model.name or "model", pictures.source)

    def find_models(self, checkpoint: str) -> dict[str, str]:
        return {checkpoint: checkpoint}

    def find_others(self) -> dict[str, str]:
        return {}

    def find_offers(self) -> dict[str, Source]:
        return {}

    def offer_large_pictures(self) -> None:
        """Nothing: a notebook shows its own pictures."""

    def find_galleries(self, dataset: str) -> tuple[list[str], str]:
        return [dataset], ""

    def menu_entry(self, name: str) -> dict:
        count = sum(parameter.numel() for parameter in self._model.parameters())
        size = {"size": self._model.img_size}
        return {"name": name, "facts": f"{count:,} parameters", "patches": self._model.num_patches, **size}

    def model(self, name: object, snapshot: object = None) -> MaskedImageModel:
        if name != self.first or snapshot is not None:
            raise UsageError(f"This explorer has one model, {self.first!r}, and no {str(snapshot or name)[:60]!r}.")
        return self._model

    def pictures(self, dataset: object, size: int) -> Pictures:
        if dataset != self._own_pictures.source:
            raise UsageError(f"This explorer has its own pictures, and none of {str(dataset)[:60]!r}.")
        return self._own_pictures
