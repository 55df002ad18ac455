"""The descent itself: all its states at once, for the page to walk through."""

from etviz.masks import mask_to_hex
from etviz.ui.payload import decoded_frames, encode_pixels, payload, to_bytes
from etviz.ui.protocol import Backend


def read_descent(service: Backend, question: dict) -> dict:
    """One descent.

    Args:
        question: as `Backend.read_request` takes it, and seq, a number by which the page recognises the answer.

    Returns:
        `etviz.ui.payload.payload`, and seq, model, snapshot, picture, caption and the settings in effect.
    """
    request = service.read_request(question)
    return {
        "seq": _seq(question),
        "model": request.model_name,
        "snapshot": request.snapshot,
        "picture": request.picture,
        "caption": request.caption,
        "settings": request.settings_for_page(),
        **payload(service.trace(request), request.image, request.mask),
    }


def read_first_steps(service: Backend, question: dict) -> dict:
    """The first few steps of a descent, to be shown while `read_descent`, which goes on from them, is computed.

    Args:
        question: as `read_descent` takes it.

    Returns:
        seq; size, mask, image: as in `etviz.ui.payload.payload`; step: how many steps these are; frame: the picture
        after them. Only seq where there is nothing to be gained by it, as when the whole descent is there already.
    """
    request = service.read_request(question)
    trace = service.first_steps(request)
    if trace is None:
        return {"seq": _seq(question)}
    return {
        "seq": _seq(question),
        "size": request.image.shape[-1],
        "mask": mask_to_hex(request.mask),
        "image": encode_pixels(to_bytes(request.image)),
        "step": len(trace) - 1,
        "frame": encode_pixels(to_bytes(decoded_frames(trace)[-1])),
    }


def _seq(question: dict) -> int | float | None:
    """The number of a question from outside, if it is one."""
    seq = question.get("seq")
    return seq if isinstance(seq, int | float) else None
