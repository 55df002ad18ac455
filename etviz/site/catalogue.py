"""What the page of a site knows: its models, its pictures, and the descent that it shows first."""

import dataclasses

from etviz.checkpoints import SNAPSHOTS, find_checkpoint
from etviz.examples import CARRIED_GALLERY
from etviz.site.describe import HEADING, describe_model, describe_pictures
from etviz.site.live import live_template
from etviz.site.service import SiteService
from etviz.site.store import Store
from etviz.ui.readings import READINGS
from etviz.ui.replay import replay_template
from etviz.ui.runs import describe_run
from etviz.version import __version__


def catalogue(service: SiteService, store: Store) -> dict:
    """The catalogue of a site, as JSON has it; the files that it names are put into the store."""
    models = [model_with_training(service, store, name) for name in service.checkpoints]
    datasets = [
        describe_pictures(store, name, service.pictures(name, size_of(service, name))) for name in service.galleries
    ]
    return {
        "version": __version__,
        "limits": dataclasses.asdict(service.limits),
        "models": models,
        "datasets": datasets,
        "replay": store.add("replay.html", replay_template().encode()),
        "live": store.add("live.html", live_template().encode()),
        "start": {"heading": HEADING, **service.start()},
    }


def size_of(service: SiteService, gallery: str) -> int:
    """The side in which a site carries pictures: the first model's, or that of the largest one for photographs."""
    sizes = [service.model(name).img_size for name in service.checkpoints]
    return max(sizes) if gallery == CARRIED_GALLERY else sizes[0]


def model_with_training(service: SiteService, store: Store, name: str) -> dict:
    """As `describe_model`, and what the Training tab shows, which is fetched when it asks: run: as `describe_run` has
    it; training: the path of what the reading of that name answers; snapshots: [{file, epoch, weights: its path}]."""
    model = service.model(name)
    pictures = service.pictures(service.galleries[0], model.img_size)
    place = service.checkpoints[name]
    run = describe_run(name, place)
    # Nobody goes on with a training here.
    training = READINGS["training"](service, {"run": name}) | {"run": run, "state": "finished", "written": None}
    return {
        **describe_model(store, name, service.menu_entry(name)["facts"], model, pictures),
        "run": run,
        "training": store.add_json(f"{name}-training.json", training),
        "snapshots": [
            {**snapshot, "weights": add_snapshot(store, name, place, snapshot["file"])} for snapshot in run["snapshots"]
        ],
    }


def add_snapshot(store: Store, name: str, place: str, file: str) -> str:
    """Keep the file of a snapshot, which is in half precision already. Returns its path."""
    return store.add(f"{name}-{file}", (find_checkpoint(place) / SNAPSHOTS / file).read_bytes())
