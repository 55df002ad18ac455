"""How well a model that learned from one dataset does on another."""

from collections.abc import Callable

from etviz.data import Dataset
from etviz.evaluation.features import accuracy_interval, extract_features, linear_accuracy
from etviz.evaluation.paired import family
from etviz.metrics import measure_model, summarize
from etviz.models import MaskedImageModel


def transfer_rows(
    models: dict[str, MaskedImageModel],
    trained_on: dict[str, str],
    datasets: dict[str, Dataset],
    *,
    ratio: float = 0.85,
    seed: int = 0,
    images: int | None = None,
    probe_images: int = 10_000,
    tell: Callable[[str], None] = lambda what: None,
) -> list[dict]:
    """Every model on every dataset: how well it rebuilds, and how well its features tell the classes.

    Args:
        models: by the checkpoint's name.
        trained_on: the dataset's name, by the checkpoint's.
        datasets: by name, at the models' size.
        ratio, seed: of `etviz.metrics.evaluation_masks`, the same for every model.
        images: how many images of each test split, from its first on; all if None.
        probe_images: how many training images a linear probe learns from; 0 for no probe.
        tell: called with what is being measured.

    Returns:
        A row for each pair: checkpoint, model, parameters, trained_on, dataset, own (whether those are the same),
        images, masked_mse, masked_psnr in dB and its standard error over images; with a probe, accuracy (0 to 1), low
        and high.

    Raises:
        UsageError: as `etviz.metrics.measure_model` and `etviz.evaluation.features.linear_accuracy`.
    """
    rows = []
    for name, model in models.items():
        for place, dataset in datasets.items():
            tell(f"{name} on {place}")
            pictures = dataset.test_images[:images]
            values = measure_model(model, pictures, ratio=ratio, mask_seed=seed, include_ssim=False)
            scores = summarize(values)
            row = {"checkpoint": name, "model": model.name, "trained_on": trained_on[name], "dataset": place}
            row |= {"own": trained_on[name] == place, "images": len(pictures), "masked_mse": scores["masked_mse"]}
            row |= {"parameters": sum(parameter.numel() for parameter in model.parameters())}
            row |= {key: scores[key] for key in ("masked_psnr", "masked_psnr_standard_error") if key in scores}
            if probe_images:
                tell(f"linear probe of {name} on {place}")
                row |= _probed(model, dataset, images, probe_images)
            rows.append(row | {"errors": values["masked_mse"]})
    return rows


def paired_cost(rows: list[dict]) -> list[dict]:
    """What it costs on a dataset to have learned from the other one, for models of the same kind and size.

    Args:
        rows: `transfer_rows`'.

    Returns:
        A row of `etviz.evaluation.paired.family` for each dataset and pair of checkpoints of one kind and size: model,
        dataset, first (the checkpoint that learned from another dataset), second (the one that learned from this one),
        metric (masked MSE, so that a positive difference is a cost), and so on. All rows are one family.
    """
    pairs = []
    for own in (row for row in rows if row["own"]):
        for other in rows:
            same = all(other[key] == own[key] for key in ("model", "parameters", "dataset"))
            if same and not other["own"]:
                names = {"first": other["checkpoint"], "second": own["checkpoint"], "metric": "masked_mse"}
                about = {"model": own["model"], "dataset": own["dataset"]} | names
                pairs.append((about, other["errors"], own["errors"]))
    return family(pairs)


def _probed(model: MaskedImageModel, dataset: Dataset, images: int | None, probe_images: int) -> dict[str, float]:
    train, test = (
        extract_features(model, pictures)
        for pictures in (dataset.train_images[:probe_images], dataset.test_images[:images])
    )
    labels = dataset.train_labels[:probe_images], dataset.test_labels[:images]
    accuracy = linear_accuracy(train, labels[0], test, labels[1])
    low, high = accuracy_interval(accuracy, len(test))
    return {"accuracy": accuracy, "low": low, "high": high}
