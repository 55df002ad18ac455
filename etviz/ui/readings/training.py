"""How models were trained: the runs there are, the curves of one, and one picture through its epochs."""

from etviz.errors import UsageError
from etviz.metrics import masked_mse, psnr_of_mse
from etviz.ui.payload import encode_pixels, finite, to_bytes
from etviz.ui.readings.compare import descend
from etviz.ui.request import Request
from etviz.ui.runs import describe_run, list_runs, read_run

MAX_EPOCH_STEPS = 24  # of each epoch's descent: nine of them are 0.9 MB


def read_runs(service, question: dict) -> dict:
    """The checkpoints of the menu, then every run: {runs: [`describe_run`]}."""
    return {"runs": [describe_run(name, place) for name, place in _places(service).items()]}


def read_training(service, question: dict) -> dict:
    """One run's curves, facts and state.

    Args:
        question: {run: a name that `read_runs` lists}.

    Returns:
        `read_run`'s dict and run: `describe_run`'s.
    """
    name = question.get("run")
    place = service.place(name)
    shipped = place not in list_runs().values()
    return {"run": describe_run(name, place), **read_run(name, place, shipped)}


def read_epochs(service, question: dict) -> dict:
    """One picture and mask, rebuilt by each snapshot of a run and by its final weights, each by its own settings.

    Args:
        question: {run, picture, mask, steps}: the mask on the grid of the run's model; steps as `Settings.read` takes
            them, but at most `MAX_EPOCH_STEPS` are taken.

    Returns:
        size, image: as in `etviz.ui.payload.payload`; epochs: one for the final weights and each snapshot that could
        be loaded, the oldest first: {file: null for the final weights, epoch, frames: base64 of T + 1 pictures,
        mse, psnr: T + 1 numbers over hidden pixels}. T = 0 for a model without an energy.
    """
    name = question.get("run")
    run = describe_run(name, service.place(name))
    if "problem" in run:
        raise UsageError(run["problem"])
    epochs = [*run["snapshots"], {"file": None, "epoch": run["epoch"]}]
    requests = [(epoch, request) for epoch in epochs if (request := _request(service, question, epoch["file"]))]
    if not requests:
        raise UsageError(f"The weights of {name} cannot be read just now: they may be half written.")
    image = requests[0][1].image
    return {
        "size": image.shape[-1],
        "image": encode_pixels(to_bytes(image)),
        "epochs": [epoch | _rebuild(service, request) for epoch, request in requests],
    }


def _places(service) -> dict[str, str]:
    """Where the menu's checkpoints, the other models and the runs lie, each once."""
    models = {**service.checkpoints, **service.others}
    return models | {name: place for name, place in list_runs().items() if place not in models.values()}


def _request(service, question: dict, snapshot: str | None) -> Request | None:
    """The question with one epoch's weights; None where those cannot be loaded: half written, or gone meanwhile."""
    try:
        service.model(question["run"], snapshot)
    except UsageError:
        return None
    steps = question.get("steps")
    settings = {"steps": min(steps, MAX_EPOCH_STEPS) if type(steps) is int else steps}
    parts = {key: question.get(key) for key in ("picture", "mask")}
    return service.read_request(
        {**parts, "model": question["run"], "snapshot": snapshot, "settings": settings}, energy=False
    )


def _rebuild(service, request: Request) -> dict:
    """The pictures of one epoch's descent, and how good each is."""
    with service.lock:
        frames, _ = descend(request)
    error = masked_mse(request.image.expand_as(frames), frames, request.mask.expand(len(frames), -1))
    return {"frames": encode_pixels(to_bytes(frames)), "mse": finite(error), "psnr": finite(psnr_of_mse(error))}
