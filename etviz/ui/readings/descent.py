"""The descent itself: all its states at once, for the page to walk through."""

from etviz.ui.payload import payload
from etviz.ui.protocol import Backend


def read_descent(service: Backend, question: dict) -> dict:
    """One descent.

    Args:
        question: as `Backend.read_request` takes it, and seq, a number by which the page recognises the answer.

    Returns:
        `etviz.ui.payload.payload`, and seq, model, snapshot, picture, caption and the settings in effect.
    """
    request = service.read_request(question)
    seq = question.get("seq")
    return {
        "seq": seq if isinstance(seq, int | float) else None,
        "model": request.model_name,
        "snapshot": request.snapshot,
        "picture": request.picture,
        "caption": request.caption,
        "settings": request.settings_for_page(),
        **payload(service.trace(request), request.image, request.mask),
    }
