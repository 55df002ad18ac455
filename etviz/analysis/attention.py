"""Attention by step and head, in both roles of a patch, and how widely each head spreads it.

Shapes: T+1 states, H heads, N tokens (CLS first).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from etviz.analysis.inputs import check_number, check_place
from etviz.errors import UsageError
from etviz.models import TokenTrace
from etviz.models.trace import PADDING


class AttentionRoles(NamedTuple):
    """The attention by and to one patch at every step. Weights have no unit."""

    as_query: Tensor  # (T+1, H, N)  where the patch looks: a row of the softmax, sums to 1
    as_key: Tensor  # (T+1, H, N)  who looks at the patch: a column, sums to anything from 0 to N


class AttentionEntropy(NamedTuple):
    """How widely each head spreads its attention, in bits: from 0 for a single token to the maximum for all alike."""

    bits: Tensor  # (T+1, H)  mean over queries
    maximum: float  # log2 N


def attention_roles(trace: TokenTrace, patch: int, image: int = 0) -> AttentionRoles:
    """The attention of one patch as a query and as a key: Energy Transformer patches are both (eq. 3).

    Args:
        trace: with attention (B, T+1, H, N, N) over CLS and all patches.
        patch: numbered row by row from 0.
        image: which of the B images.

    Raises:
        UsageError: the trace keeps no attention or leaves patches out, or there is no such patch or image.
    """
    attention = _attention(trace, image)
    patches, tokens = trace.mask.shape[1], attention.shape[-1]
    if tokens != 1 + patches:
        raise UsageError(f"Attention maps need a token for each of {patches} patches, and this trace has {tokens - 1}.")
    check_number("patch", patch, patches)
    return AttentionRoles(as_query=attention[:, :, 1 + patch], as_key=attention[..., 1 + patch])


def attention_entropy(trace: TokenTrace, image: int = 0) -> AttentionEntropy:
    """Entropy of the attention weights over keys, in bits, for every head and step: the mean over queries.

    N counts the tokens that exist: an encoder's padding attends to nothing and is left out. Where a model excludes a
    query's own key, log2(N - 1) is as far as the entropy can go.

    Args:
        trace: with attention (B, T+1, H, N, N).
        image: which of the B images.

    Raises:
        UsageError: the trace keeps no attention, or there is no such image.
    """
    attention = _attention(trace, image)
    exists = (trace.patch_index[image] != PADDING).to(attention.device)
    nats = -torch.special.xlogy(attention, attention).sum(dim=3)  # (T+1, H, N); 0 log 0 = 0
    bits = nats[:, :, exists].mean(dim=2) / math.log(2)
    return AttentionEntropy(bits=bits, maximum=math.log2(int(exists.sum())))


def _attention(trace: TokenTrace, image: int) -> Tensor:
    """Of one image, (T+1, H, N, N) in at least float32."""
    if trace.attention is None:
        raise UsageError("This trace keeps no attention: trace with keep_attention=True.")
    check_place(trace, image)
    attention = trace.attention[image]
    return attention.to(torch.promote_types(attention.dtype, torch.float32))
