"""Archives of random numbers in the official layouts, and a forward pass of them that shares no code with the package.

Both descend as the published code does, in float64 and by autograd of nothing: the gradient is written out with einsum.
"""

import io
import math

import numpy as np
import torch


def jax_arrays(*, size=32, patch=8, width=32, heads=2, head_dim=16, memories=96, seed=0) -> dict[str, np.ndarray]:
    """Arrays by the names of the official JAX checkpoint, float32."""
    rng = np.random.default_rng(seed)
    patch_dim, tokens = 3 * patch**2, (size // patch) ** 2 + 1

    def normal(*shape, std=1.0):
        return rng.normal(0, std, shape).astype(np.float32)

    return {
        "Wq": normal(heads, head_dim, width, std=0.3),
        "Wk": normal(heads, head_dim, width, std=0.3),
        "Xi": normal(width, memories, std=0.2),
        "LNORM_gamma": np.float32(1.3),
        "LNORM_bias": normal(width, std=0.1),
        "Wenc": normal(patch_dim, width, std=1 / math.sqrt(patch_dim)),
        "Benc": normal(width, std=0.1),
        "Wdec": normal(width, patch_dim, std=1 / math.sqrt(width)),
        "Bdec": normal(patch_dim, std=0.1),
        "CLS_token": normal(width),
        "MASK_token": normal(width),
        "POS_embed": normal(tokens, width, std=0.3),
    }


def torch_arrays(*, size=32, patch=4, width=32, heads=2, head_dim=16, memories=96, depth=1, seed=0):
    """A state dict by the names of the official PyTorch checkpoint."""
    generator = torch.Generator().manual_seed(seed)
    patch_dim, tokens = 3 * patch**2, (size // patch) ** 2 + 1

    def normal(*shape, std=1.0):
        return std * torch.randn(*shape, generator=generator)

    state = {
        "cls": normal(1, 1, width),
        "mask": normal(1, 1, width),
        "encode.0.weight": normal(width, patch_dim, std=1 / math.sqrt(patch_dim)),
        "encode.0.bias": normal(width, std=0.1),
        "decode.0.weight": 1 + normal(width, std=0.1),
        "decode.0.bias": normal(width, std=0.1),
        "decode.1.weight": normal(patch_dim, width, std=1 / math.sqrt(width)),
        "decode.1.bias": normal(patch_dim, std=0.1),
        "pos.weight": normal(1, tokens, width, std=0.3),
    }
    for block in range(depth):
        state |= {
            f"blocks.{block}.0.gamma": torch.tensor([1.2]),
            f"blocks.{block}.0.bias": normal(width, std=0.1),
            f"blocks.{block}.1.hn.proj.weight": normal(memories, width, std=0.05),
            f"blocks.{block}.1.attn.wq": normal(heads, head_dim, width, std=0.05),
            f"blocks.{block}.1.attn.wk": normal(heads, head_dim, width, std=0.05),
        }
    return state


def npz_bytes(arrays) -> bytes:
    """Arrays as a .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def pth_bytes(state) -> bytes:
    """A state dict as torch.save writes it."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


# ---- the forward pass --------------------------------------------------------------------------------------------


def to_patches(image, patch):
    """(3, S, S) -> (N, 3 * p * p), each patch in the order channel, row, column."""
    side = image.shape[1] // patch
    cut = image.reshape(3, side, patch, side, patch)
    return cut.transpose(1, 3, 0, 2, 4).reshape(side * side, -1)


def to_image(patches, patch):
    """The inverse of `to_patches`."""
    side = math.isqrt(len(patches))
    return patches.reshape(side, side, 3, patch, patch).transpose(2, 0, 3, 1, 4).reshape(3, side * patch, side * patch)


def norm(x, gain, bias, eps):
    """A layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) + bias


def energy_and_gradient(g, query, key, xi, beta):
    """The energy of tokens g (N, D), and its gradient; query and key (H, Y, D), xi (M, D)."""
    queries, keys = np.einsum("nd,hyd->hny", g, query), np.einsum("nd,hyd->hny", g, key)
    logits = beta * np.einsum("hqy,hky->hqk", queries, keys)
    top = logits.max(-1, keepdims=True)
    sums = np.exp(logits - top).sum(-1, keepdims=True)
    shares = np.exp(logits - top) / sums
    overlaps = np.maximum(g @ xi.T, 0)
    energy = -(top + np.log(sums)).sum() / beta - 0.5 * (overlaps**2).sum()
    on_queries = np.einsum("hqk,hky,hyd->qd", shares, keys, query)
    on_keys = np.einsum("hqk,hqy,hyd->kd", shares, queries, key)
    return energy, -(on_queries + on_keys + overlaps @ xi)


def descend(x, blocks, steps, alpha, beta):
    """Every state and its energy; blocks of (gamma, delta, query, key, xi)."""
    states, energies = [x], []
    for gamma, delta, query, key, xi in blocks:
        for _ in range(steps):
            energy, gradient = energy_and_gradient(norm(x, gamma, delta, 1e-5), query, key, xi, beta)
            x = x - alpha * gradient
            states.append(x)
            energies.append(energy)
    last = blocks[-1]
    energies.append(energy_and_gradient(norm(x, last[0], last[1], 1e-5), *last[2:], beta)[0])
    return states, np.array(energies)


def jax_forward(arrays, image, mask, steps=12, alpha=0.1):
    """The official JAX model: its pictures (T+1, 3, S, S) in normalised units, unclipped, and energies (T+1,)."""
    a = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    patch = math.isqrt(len(a["Wenc"]) // 3)
    mean, std = np.array([0.485, 0.456, 0.406])[:, None, None], np.array([0.229, 0.224, 0.225])[:, None, None]
    x = to_patches((image - mean) / std, patch) @ a["Wenc"] + a["Benc"]
    x[mask] = a["MASK_token"]
    x = np.concatenate([a["CLS_token"][None], x]) + a["POS_embed"]
    block = (a["LNORM_gamma"], a["LNORM_bias"], a["Wq"], a["Wk"], a["Xi"].T)
    states, energies = descend(x, [block], steps, alpha, 1 / math.sqrt(a["Wq"].shape[1]))
    decoded = [norm(s[1:], a["LNORM_gamma"], a["LNORM_bias"], 1e-5) @ a["Wdec"] + a["Bdec"] for s in states]
    return np.stack([to_image(patches, patch) for patches in decoded]) * std + mean, energies


def torch_forward(state, image, mask, *, steps=12, alpha=5.0, beta=16.0):
    """The official PyTorch model, likewise."""
    a = {name: value.double().numpy() for name, value in state.items()}
    patch = math.isqrt(a["encode.0.weight"].shape[1] // 3)
    mean = np.array([0.4914, 0.4822, 0.4465])[:, None, None]
    std = np.array([0.2023, 0.1994, 0.2010])[:, None, None]
    x = to_patches((image - mean) / std, patch) @ a["encode.0.weight"].T + a["encode.0.bias"]
    x[mask] = a["mask"][0, 0]
    x = np.concatenate([a["cls"][0], x]) + a["pos.weight"][0]
    names = ("0.gamma", "0.bias", "1.attn.wq", "1.attn.wk", "1.hn.proj.weight")
    depth = len({name.split(".")[1] for name in a if name.startswith("blocks.")})
    blocks = [tuple(a[f"blocks.{i}.{name}"] for name in names) for i in range(depth)]
    states, energies = descend(x, blocks, steps, alpha, beta)
    width = x.shape[1]
    normed = [norm(s[1:], a["decode.0.weight"], a["decode.0.bias"], width) for s in states]
    decoded = [g @ a["decode.1.weight"].T + a["decode.1.bias"] for g in normed]
    return np.stack([to_image(patches, patch) for patches in decoded]) * std + mean, energies
