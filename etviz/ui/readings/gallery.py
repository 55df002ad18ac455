"""A page of pictures to choose from, of all classes or of one."""

from torch import Tensor

from etviz.errors import UsageError
from etviz.examples import Pictures
from etviz.pictures import resize
from etviz.ui.payload import RAW_SIDE, raw_pixels
from etviz.ui.protocol import Backend
from etviz.ui.request import a_dict


def read_gallery(service: Backend, question: dict) -> dict:
    """One page of a gallery.

    Args:
        question: {dataset, model: the pictures come in its size, label: the name of a class, or null for all classes,
            page: from 0}.

    Returns:
        dataset, label, page; pages: how many pages there are; per_page: pictures on a page; count: pictures of this
        class; total: all pictures; classes: their names; thumbs: [{index, caption, image: base64 of bytes}], at most
        `RAW_SIDE` pixels wide.

    Raises:
        UsageError: there is no such dataset, class or page.
    """
    question = a_dict(question)
    dataset, label, page = question.get("dataset"), question.get("label"), question.get("page")
    pictures = service.pictures(dataset, service.model(question.get("model")).img_size)
    if label is not None and label not in pictures.classes:
        raise UsageError(f"There is no class {str(label)[:40]!r} here: choose one from the menu.")
    order, per_page = pictures.arranged(label), service.limits.thumbnails
    pages = -(-len(order) // per_page)
    if type(page) is not int or not 0 <= page < pages:
        raise UsageError(f"There is no page {str(page)[:20]} of pictures: choose 0 to {pages - 1}.")
    return {"dataset": dataset, "label": label, "page": page, **gallery_page(pictures, order, page, per_page)}


def gallery_page(pictures: Pictures, order: list[int], page: int, per_page: int) -> dict:
    """What a page of a gallery shows: `read_gallery`'s answer, but for what was asked.

    Args:
        pictures: of the gallery.
        order: the indices of those to choose from.
        page: from 0.
        per_page: pictures on a page.
    """
    chosen = order[page * per_page : (page + 1) * per_page]
    images = shrunk(pictures.at(chosen))
    return {
        "pages": -(-len(order) // per_page),
        "per_page": per_page,
        "count": len(order),
        "total": len(pictures),
        "classes": pictures.classes,
        "thumbs": [
            {"index": index, "caption": pictures.caption(index), "image": raw_pixels(image)}
            for index, image in zip(chosen, images, strict=True)
        ],
    }


def shrunk(images: Tensor) -> Tensor:
    """Pictures (n, 3, S, S) uint8 as thumbnails."""
    return resize(images, RAW_SIDE) if images.shape[-1] > RAW_SIDE else images
