"""A service for a notebook: its one model and its pictures are in memory already."""

from etviz.errors import UsageError
from etviz.examples import Pictures
from etviz.models import MaskedImageModel
from etviz.ui.service import Service


class NotebookService(Service):
    """Answers questions about one model and the pictures beside it.

    Args:
        model: with an energy, on the CPU.
        pictures: of the model's size.
    """

    def __init__(self, model: MaskedImageModel, pictures: Pictures):
        self._held = model, pictures
        super().__init__(model.name or "model", pictures.source)

    def find_models(self, checkpoint: str) -> dict[str, str]:
        return {checkpoint: checkpoint}

    def find_others(self) -> dict[str, str]:
        return {}

    def find_galleries(self, dataset: str) -> tuple[list[str], str]:
        return [dataset], ""

    def menu_entry(self, name: str) -> dict:
        model, _ = self._held
        count = sum(parameter.numel() for parameter in model.parameters())
        return {"name": name, "facts": f"{count:,} parameters", "patches": model.num_patches}

    def model(self, name: str, snapshot: str | None = None) -> MaskedImageModel:
        if name != self.first or snapshot is not None:
            raise UsageError(f"This explorer holds one model, {self.first!r}, and no {str(snapshot or name)[:60]!r}.")
        return self._held[0]

    def pictures(self, dataset: str, size: int | None = None) -> Pictures:
        if dataset != self._held[1].source:
            raise UsageError(f"This explorer holds its own pictures, and none of {str(dataset)[:60]!r}.")
        return self._held[1]
