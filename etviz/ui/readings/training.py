"""How models were trained: a list of the runs, the curves of one, and one picture through its epochs."""

from etviz.errors import UsageError
from etviz.ui.payload import encode_pixels, pictures_payload, to_bytes
from etviz.ui.protocol import Backend
from etviz.ui.readings.compare import descend
from etviz.ui.request import Request
from etviz.ui.runs import describe_run, list_runs, read_run


def read_runs(service: Backend, question: dict) -> dict:
    """The checkpoints of the menu, then every run: {runs: [`describe_run`]}."""
    return {"runs": [describe_run(name, place) for name, place in _places(service).items()]}


def read_training(service: Backend, question: dict) -> dict:
    """One run's curves, facts and state.

    Args:
        question: {run: a name that `read_runs` lists}.

    Returns:
        The dict of `read_run`, and run: that of `describe_run`.
    """
    name = str(question.get("run"))
    place = service.place(name)
    shipped = place not in list_runs().values()
    return {"run": describe_run(name, place), **read_run(name, place, shipped)}


def read_epochs(service: Backend, question: dict) -> dict:
    """One masked picture, reconstructed by each snapshot of a run and by its final weights, with the model's settings.

    Args:
        question: {run, picture, mask, steps}: the mask on the grid of the run's model; steps as `Settings.read` takes
            them. A descent takes at most `Limits.epoch_steps`.

    Returns:
        size, image: as in `etviz.ui.payload.payload`; epochs: one for each snapshot that could be loaded, the oldest
        first, and one for the final weights: {file: null for the final weights, epoch, frames: base64 of T + 1
        pictures, mse, psnr: T + 1 masked MSE and masked PSNR}. T = 0 for a model without an energy.
    """
    name = str(question.get("run"))
    run = describe_run(name, service.place(name))
    if "problem" in run:
        raise UsageError(run["problem"])
    epochs = [*run["snapshots"], {"file": None, "epoch": run["epoch"]}]
    requests = [(epoch, request) for epoch in epochs if (request := _request(service, question, epoch["file"]))]
    if not requests:
        raise UsageError(f"The weights of {name} cannot be read at the moment: they may be half written.")
    image = requests[0][1].image
    return {
        "size": image.shape[-1],
        "image": encode_pixels(to_bytes(image)),
        "epochs": [epoch | _rebuild(service, request, 1 / len(requests)) for epoch, request in requests],
    }


def _places(service: Backend) -> dict[str, str]:
    """Where the checkpoints of the menu, the other models and the runs are, each listed once."""
    models = {**service.checkpoints, **service.others}
    return models | {name: place for name, place in list_runs().items() if place not in models.values()}


def _request(service: Backend, question: dict, snapshot: str | None) -> Request | None:
    """The question, with the weights of one epoch; None where they cannot be loaded: half written, or just deleted."""
    try:
        service.model(question["run"], snapshot)
    except UsageError:
        return None
    steps = question.get("steps")
    settings = {"steps": min(steps, service.limits.epoch_steps) if type(steps) is int else steps}
    parts = {key: question.get(key) for key in ("picture", "mask")}
    return service.read_request(
        {**parts, "model": question["run"], "snapshot": snapshot, "settings": settings}, energy=False
    )


def _rebuild(service: Backend, request: Request, share: float) -> dict:
    """The pictures of one epoch's descent, and how good each one is; ``share`` is theirs of the answer."""
    with service.lock:
        frames, _ = descend(request)
    shown = pictures_payload(frames, request.image, request.mask, share)
    return {name: shown[name] for name in ("frames", "mse", "psnr")}
