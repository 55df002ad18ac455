"""A page of pictures to choose from, of all classes or of one."""

from etviz.errors import UsageError
from etviz.ui.payload import encode_pixels
from etviz.ui.request import a_dict

PAGE = 12  # thumbnails


def read_gallery(service, question: dict) -> dict:
    """One page of a gallery.

    Args:
        question: {dataset, model: whose size the pictures take, label: a class's name, or null for all, page: from 0}.

    Returns:
        dataset, label, page; pages, per_page: how many; count: pictures of this class; total: of all; classes: their
        names; thumbs: [{index, caption, image: base64 of bytes}].

    Raises:
        UsageError: there is no such dataset, class or page.
    """
    question = a_dict(question)
    dataset, label, page = question.get("dataset"), question.get("label"), question.get("page")
    pictures = service.pictures(dataset, service.model(question.get("model")).img_size)
    if label is not None and label not in pictures.classes:
        raise UsageError(f"There is no class {str(label)[:40]!r} here: choose one from the menu.")
    order = pictures.arranged(label)
    pages = -(-len(order) // PAGE)
    if type(page) is not int or not 0 <= page < pages:
        raise UsageError(f"There is no page {str(page)[:20]} of pictures: choose 0 to {pages - 1}.")
    chosen = order[page * PAGE : (page + 1) * PAGE]
    images = pictures.images
    return {
        "dataset": dataset,
        "label": label,
        "page": page,
        "pages": pages,
        "per_page": PAGE,
        "count": len(order),
        "total": len(images),
        "classes": pictures.classes,
        "thumbs": [{"index": i, "caption": pictures.caption(i), "image": encode_pixels(images[i])} for i in chosen],
    }
