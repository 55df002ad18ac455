"""A limit on a model's size, enforced while it is built: before memory is taken, and without building it twice."""

import torch
from torch.overrides import TorchFunctionMode

from etviz.errors import UsageError

COUNTED = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}  # the functions that make weights and tables


class SizeLimit(TorchFunctionMode):
    """Counts the elements of all tensors made within it, and stops before a tensor that would exceed the limit.

    Weights are made by the functions in `COUNTED`, also in PyTorch's layers and in transformers. What is computed from
    other tensors, as fixed positions are, is not counted: `MaskedImageModel` bounds how many there can be.

    Args:
        limit: how many elements, of any type.

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
