"""What a reading needs of the service that it reads from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

from etviz.examples import Pictures
from etviz.models import MaskedImageModel, Trace
from etviz.ui.cache import Cache
from etviz.ui.downloads import Downloads
from etviz.ui.limits import Limits
from etviz.ui.request import Request

Piece = TypeVar("Piece")


@runtime_checkable
class Backend(Protocol):
    """Models, pictures and descents. `etviz.ui.service.Service` is one; anything with these members will do."""

    @property
    def limits(self) -> Limits:
        """What a question may ask for."""
        ...

    @property
    def lock(self) -> AbstractContextManager:
        """Hold it while a model computes."""
        ...

    @property
    def checkpoints(self) -> Mapping[str, str]:
        """The models of the menu: name -> where the checkpoint is."""
        ...

    @property
    def others(self) -> Mapping[str, str]:
        """The models that have no energy, for comparison: name -> where the checkpoint is."""
        ...

    @property
    def galleries(self) -> Sequence[str]:
        """The sets of pictures to choose from, by name; the first one is shown first."""
        ...

    @property
    def bands(self) -> Cache[dict]:
        """The energy bands computed last."""
        ...

    @property
    def downloads(self) -> Downloads:
        """The published models that can be fetched."""
        ...

    def menu_entry(self, name: str) -> dict:
        """What the menu says of a model."""
        ...

    def place(self, name: object) -> str:
        """Where the checkpoint or run of that name is. Raises `UsageError` where there is none."""
        ...

    def model(self, name: object, snapshot: object = None) -> MaskedImageModel:
        """A model by its name. Raises `UsageError` where there is none."""
        ...

    def pictures(self, dataset: object, size: int) -> Pictures:
        """The pictures of a gallery, ``size`` pixels wide. Raises `UsageError` where there are none."""
        ...

    def read_request(self, question: Any, energy: bool = True) -> Request:
        """A question from the page, checked. Raises `UsageError` where something in it is wrong."""
        ...

    def trace(self, request: Request, keep_attention: bool = False) -> Trace:
        """The descent that a request asks for."""
        ...

    def first_steps(self, request: Request) -> Trace | None:
        """The first steps of a request's descent, or None where there is nothing to be gained by them."""
        ...

    def in_turns(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The same pieces; other questions are answered between two of them."""
        ...
