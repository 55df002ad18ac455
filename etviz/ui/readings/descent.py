"""The descent itself: all its states at once, for the page to walk through."""

from etviz.ui.payload import payload


def read_descent(service, question: dict) -> dict:
    """One descent.

    Args:
        question: as `Service.scene` takes it, and a seq to find the answer by.

    Returns:
        `etviz.ui.payload.payload`, and seq, model, snapshot, picture, caption and the settings in effect.
    """
    scene = service.scene(question)
    return {
        "seq": question.get("seq"),
        "model": scene.model_name,
        "snapshot": scene.snapshot,
        "picture": scene.picture,
        "caption": scene.caption,
        "settings": scene.effective_settings(),
        **payload(service.trace(scene), scene.image, scene.mask),
    }
