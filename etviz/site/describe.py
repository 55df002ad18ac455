"""A model and its pictures as the page's engine reads them: what the catalogue says, and the files that it names."""

from etviz.examples import Pictures, title
from etviz.models import MaskedImageModel
from etviz.site.pictures import COLUMNS, sprite
from etviz.site.store import Store
from etviz.site.weights import carried_weights
from etviz.ui.readings.guide import choices_among

HEADING = {
    "title": "etviz",
    "text": "Hide parts of a picture, and an Energy Transformer fills them in. It walks downhill on an energy over all "
    "patches, step by step; the picture takes shape on the way. All of it is computed in your browser.",
}


def describe_model(store: Store, name: str, facts: str, model: MaskedImageModel, pictures: Pictures) -> dict:
    """One model of a catalogue, with its weights put into the store.

    Args:
        store: takes the weights.
        name, facts: as the menu shows them.
        model: on the CPU.
        pictures: for the model, to judge half precision by.

    Returns:
        name, facts, patches, size: N and the side of an image; patch: the side of a patch; config: every option of its
        constructor; energy: whether it has one; weights, bytes: the path and the size of its file.
    """
    weights = store.add(f"{name}.safetensors", carried_weights(model, pictures))
    return {
        "name": name,
        "facts": facts,
        "patches": model.num_patches,
        "size": model.img_size,
        "patch": model.patch_size,
        "config": {"name": model.name, **model.config},
        "energy": model.has_energy,
        "weights": weights,
        "bytes": store.size(weights),
    }


def describe_pictures(store: Store, name: str, pictures: Pictures) -> dict:
    """One gallery of a catalogue, with its pictures put into the store.

    Returns:
        name, title, size; source: what captions call a picture; classes: their names; for each picture, labels: the
        place of its name among the classes, indices: its number, captions, and choices: the names of the guessing
        game; sprite: the path of all pictures in one; columns: how many stand side by side in it.
    """
    labels, count = pictures.labels, len(pictures.labels)
    return {
        "name": name,
        "title": title(name),
        "source": pictures.source,
        "size": pictures.images.shape[-1],
        "classes": pictures.classes,
        "labels": [pictures.classes.index(label) for label in labels],
        "indices": list(range(count)),
        "captions": [pictures.caption(index) for index in range(count)],
        "choices": [choices_among(labels, name, index) for index in range(count)],
        "sprite": store.add(f"{name}.webp", sprite(pictures.images)),
        "columns": COLUMNS,
    }
