"""A published model that is missing: fetched when the reader asks for it."""

from etviz.examples import title
from etviz.ui.protocol import Backend


def read_download(service: Backend, question: dict) -> dict:
    """Start to fetch a model, or tell how far that is.

    Args:
        question: {source: one that `Service.start` offers, begin: true to start}. No address comes from outside.

    Returns:
        As `Downloads.status`; once it is done, also model: its entry in the menu, and datasets: the galleries.

    Raises:
        UsageError: no such model is offered, or another one is under way.
    """
    name = str(question.get("source"))
    if question.get("begin") is True:
        service.downloads.begin(name)
    status = service.downloads.status(name)
    if status["state"] != "done":
        return status
    checkpoint = service.downloads.sources[name].checkpoint
    galleries = [{"name": gallery, "title": title(gallery)} for gallery in service.galleries]
    return status | {"model": service.menu_entry(checkpoint), "datasets": galleries}
