"""How well each class is rebuilt: averages of single images by their label."""

from dataclasses import dataclass

import torch
from torch import Tensor

from etviz.errors import UsageError
from etviz.metrics import DB_OF_RELATIVE_ERROR, psnr_of_mse


@dataclass(kw_only=True)
class ClassMeans:
    """One number a class, in float64, and how sure it is."""

    mean: Tensor  # (K,), NaN for a class without images
    standard_error: Tensor  # (K,), NaN for a class with fewer than 2 images
    count: Tensor  # (K,) int64, images


def mean_by_class(values: Tensor, labels: Tensor, num_classes: int) -> ClassMeans:
    """The mean of single images' values in each class, with its standard error: sample deviation / sqrt(count).

    Args:
        values: (n,), as from `etviz.metrics.measure`.
        labels: (n,) int64, 0 .. num_classes - 1.
        num_classes: K.

    Raises:
        UsageError: not one label a value, or a label beyond the classes.
    """
    if values.shape != labels.shape or values.ndim != 1:
        raise UsageError(f"Each value needs one label: there are {tuple(values.shape)} and {tuple(labels.shape)}.")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise UsageError(f"The labels reach from {labels.min()} to {labels.max()}: there are {num_classes} classes.")
    values, labels = values.double().cpu(), labels.cpu()
    count = torch.bincount(labels, minlength=num_classes)
    mean = torch.zeros(num_classes, dtype=torch.float64).index_add(0, labels, values) / count
    squares = torch.zeros_like(mean).index_add(0, labels, (values - mean[labels]).square())
    variance = squares / (count - 1).clamp(min=0)  # 0 / 0 where one image says nothing of the spread
    return ClassMeans(mean=mean, standard_error=(variance / count).sqrt(), count=count)


def psnr_by_class(errors: Tensor, labels: Tensor, num_classes: int) -> ClassMeans:
    """PSNR in dB of each class's mean squared error, as the headline number is of all images' mean.

    Its standard error is that of the mean error carried through the logarithm to first order.

    Args:
        errors: (n,) squared errors of single images with values in [0, 1]: masked or completed MSE.
        labels, num_classes: as `mean_by_class`, which says what is raised too.
    """
    error = mean_by_class(errors, labels, num_classes)
    spread = DB_OF_RELATIVE_ERROR * error.standard_error / error.mean
    return ClassMeans(mean=psnr_of_mse(error.mean), standard_error=spread, count=error.count)


def psnr_gain_by_class(errors: Tensor, reference: Tensor, labels: Tensor, num_classes: int) -> ClassMeans:
    """By how many dB each class's `psnr_by_class` exceeds another method's, on the same images under the same masks.

    The standard error is that of paired images, to first order: what makes a picture hard for both cancels.

    Args:
        errors, reference: (n,) squared errors of single images by the two methods, image by image.
        labels, num_classes: as `mean_by_class`, which says what is raised too.

    Raises:
        UsageError: not as many errors as reference errors.
    """
    if errors.shape != reference.shape:
        raise UsageError(
            f"Both methods need the same images: {tuple(errors.shape)} and {tuple(reference.shape)} errors."
        )
    own, other = (mean_by_class(each, labels, num_classes).mean for each in (errors, reference))
    mine = labels.cpu()
    relative = mean_by_class(errors.cpu() / own[mine] - reference.cpu() / other[mine], labels, num_classes)
    spread = DB_OF_RELATIVE_ERROR * relative.standard_error
    return ClassMeans(mean=psnr_of_mse(own / other), standard_error=spread, count=relative.count)
