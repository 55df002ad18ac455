"""A folder with everything that the engine reads: a catalogue, weights and pictures, as a site has them."""

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from etviz.checkpoints import WEIGHTS, find_checkpoint, list_snapshots, snapshot_metadata
from etviz.models import model_config
from etviz.ui.readings import READINGS
from etviz.ui.service import Service

COLUMNS = 8  # of a sprite


def write_site(service: Service, folder: Path, sprites: str = "raw") -> None:
    """Write the catalogue of a service's models and pictures, and the files that it names.

    ``sprites`` is their format: "png", or "raw" as tests/engine/answer.js reads it.
    """
    models = [_model(service, name, folder) for name in service.checkpoints]
    datasets = [_dataset(service, name, folder, sprites) for name in service.galleries]
    catalogue = {"models": models, "datasets": datasets, "limits": dataclasses.asdict(service.limits)}
    (folder / "catalogue.json").write_text(json.dumps(catalogue))


def _model(service: Service, name: str, folder: Path) -> dict:
    place = service.place(name)
    model = service.model(name)
    found = find_checkpoint(place)
    files = {None: found / WEIGHTS} | {file: found / "snapshots" / file for file in list_snapshots(place)}
    paths = {file: f"{name}-{path.name}" for file, path in files.items()}
    for file, path in files.items():
        (folder / paths[file]).write_bytes(path.read_bytes())
    training = f"{name}.json"
    (folder / training).write_text(json.dumps(READINGS["training"](service, {"run": name})))
    snapshots = [
        {"file": file, "epoch": float(snapshot_metadata(place, file)["epoch"]), "weights": paths[file]}
        for file in list_snapshots(place)
    ]
    config = {"name": model.name, **model_config(model.name, **model.config)}
    return {
        **service.menu_entry(name),
        "size": model.img_size,
        "config": config,
        "weights": paths[None],
        "snapshots": snapshots,
        "training": training,
    }


def _dataset(service: Service, name: str, folder: Path, sprites: str) -> dict:
    first = service.model(service.first)
    pictures = service.pictures(name, first.img_size)
    count, size = len(pictures.images), first.img_size
    sprite = np.zeros((-(-count // COLUMNS) * size, COLUMNS * size, 4), dtype=np.uint8)
    for index, image in enumerate(pictures.images.numpy()):
        top, left = index // COLUMNS * size, index % COLUMNS * size
        sprite[top : top + size, left : left + size, :3] = image.transpose(1, 2, 0)
    if sprites == "png":
        Image.fromarray(sprite[..., :3]).save(folder / f"{name}.png")
    else:
        (folder / f"{name}.raw").write_bytes(struct.pack("<I", COLUMNS * size) + sprite.tobytes())
    ask = {"model": service.first, "mask": "0" * (first.num_patches // 4)}
    choices = [
        READINGS["choices"](service, ask | {"picture": {"dataset": name, "index": i}})["choices"] for i in range(count)
    ]
    return {
        "name": name,
        "source": pictures.source,
        "size": size,
        "classes": pictures.classes,
        "labels": [pictures.classes.index(label) for label in pictures.labels],
        "indices": list(range(count)),
        "captions": [pictures.caption(i) for i in range(count)],
        "sprite": f"{name}.{sprites}",
        "columns": COLUMNS,
        "choices": choices,
    }
