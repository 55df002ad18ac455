"""The attention of one patch at every step, so that the view can walk through the steps without asking again."""

from etviz.analysis import attention_entropy, attention_roles
from etviz.ui.payload import encode_floats
from etviz.ui.protocol import Backend
from etviz.ui.request import a_number


def read_attention(service: Backend, question: dict) -> dict:
    """What a patch attends to, and which tokens attend to it.

    Args:
        question: as `Backend.read_request` takes it, and patch: from 0, row by row.

    Returns:
        patch; states, heads, tokens: T + 1, H and N; as_query, as_key: base64 of float32 (T+1, H, N), CLS first;
        entropy: base64 of float32 (T+1, H), in bits, the mean over queries; entropy_maximum: in bits;
        decoder: whether the descent is that of a decoder, which follows an encoder's.

    Raises:
        UsageError: there is no such patch, or as `Backend.read_request`.
    """
    request = service.read_request(question)
    patch = a_number(question.get("patch"), "patch", request.model.num_patches)
    trace = service.trace(request, keep_attention=True)
    roles, entropy = attention_roles(trace, patch), attention_entropy(trace)
    states, heads, tokens = roles.as_query.shape
    return {
        "patch": patch,
        "states": states,
        "heads": heads,
        "tokens": tokens,
        "as_query": encode_floats(roles.as_query),
        "as_key": encode_floats(roles.as_key),
        "entropy": encode_floats(entropy.bits),
        "entropy_maximum": entropy.maximum,
        "decoder": trace.encoder is not None,
    }
