"""The descent itself: all its states at once, for the page to walk through."""

from etviz.ui.payload import payload


def read_descent(service, question: dict) -> dict:
    """One descent.

    Args:
        question: as `Service.read_request` takes it, and a seq to find the answer by.

    Returns:
        `etviz.ui.payload.payload`, and seq, model, snapshot, picture, caption and the settings in effect.
    """
    request = service.read_request(question)
    return {
        "seq": question.get("seq"),
        "model": request.model_name,
        "snapshot": request.snapshot,
        "picture": request.picture,
        "caption": request.caption,
        "settings": request.effective_settings(),
        **payload(service.trace(request), request.image, request.mask),
    }
