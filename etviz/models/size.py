"""A limit on what a model may hold, kept while it is made: before memory is taken, and without making it twice."""

import torch
from torch.overrides import TorchFunctionMode

from etviz.errors import UsageError

COUNTED = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}  # what weights and tables are made by


class SizeLimit(TorchFunctionMode):
    """Counts the numbers of all tensors made within, and stops before the one that would exceed a limit.

    Weights come from the functions of `COUNTED`, PyTorch's layers' and transformers' included. What is computed from
    others, as fixed positions are, is not counted: `MaskedImageModel` bounds how many there can be.

    Args:
        limit: numbers, of whatever type.

    Raises:
        UsageError: the limit would be exceeded.
    """

    def __init__(self, limit: int):
        super().__init__()
        self.limit, self.total = limit, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in COUNTED:
            self._add(args, kwargs)
        return func(*args, **kwargs)

    def _add(self, args: tuple, kwargs: dict) -> None:
        size = {"size": kwargs["size"]} if "size" in kwargs else {}
        self.total += torch.empty(*args, **size, device="meta").numel()  # no memory: the shape alone
        if self.total > self.limit:
            raise UsageError(f"This model would have {self.total:,} or more parameters: {self.limit:,} is the most.")
