"""An Energy Transformer as one would first write it: the energy in einsums, its gradient by autograd at every step.

The yardstick of `python -m etviz.bench`, and nothing else: it takes its weights from an `EnergyTransformer`, so that
both compute the same thing.
"""

import torch
from torch import Tensor

from etviz.models import EnergyTransformer


def attention_energy(g: Tensor, query: Tensor, key: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """E_att by query token (B, N), and the attention (B, H, N, N)."""
    queries = torch.einsum("hyd,bnd->bhny", query, g)
    keys = torch.einsum("hyd,bnd->bhny", key, g)
    logits = beta * torch.einsum("bhqy,bhky->bhqk", queries, keys)
    return -(1 / beta) * torch.logsumexp(logits, dim=-1).sum(dim=1), logits.softmax(dim=-1)


def hopfield_energy(g: Tensor, memories: Tensor) -> Tensor:
    """E_hop by token (B, N)."""
    overlaps = torch.einsum("md,bnd->bnm", memories, g)
    return -0.5 * overlaps.relu().square().sum(dim=-1)


def evaluate(model: EnergyTransformer, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradient (B, N, D), both energies (B, N) and attention at a state x (B, N, D)."""
    block = model.descent.blocks[0]
    with torch.enable_grad():
        g = block.norm(x).detach().requires_grad_()
        attention_part, attention = attention_energy(g, block.query.detach(), block.key.detach(), block.beta)
        hopfield_part = hopfield_energy(g, block.memories.detach())
        (gradient,) = torch.autograd.grad((attention_part + hopfield_part).sum(), g)
    return gradient, attention_part.detach(), hopfield_part.detach(), attention.detach()


@torch.no_grad()
def trace(model: EnergyTransformer, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (B, T+1, C, H, W) and energies (B, T+1), every state evaluated and decoded as in `trace` of the model."""
    x = model.start_tokens(images, mask)
    frames, energies = [], []
    for step in range(model.descent.steps + 1):
        gradient, attention_part, hopfield_part, _ = evaluate(model, x)
        frames.append(model.to_images(model.decode(x)))
        energies.append((attention_part + hopfield_part).sum(dim=1))
        if step < model.descent.steps:
            x = x - model.descent.step_size * gradient
    return torch.stack(frames, dim=1), torch.stack(energies, dim=1)


@torch.no_grad()
def reconstruct(model: EnergyTransformer, images: Tensor, mask: Tensor) -> Tensor:
    """The last frame alone, (B, C, H, W)."""
    x = model.start_tokens(images, mask)
    for _ in range(model.descent.steps):
        x = x - model.descent.step_size * evaluate(model, x)[0]
    return model.to_images(model.decode(x))


def loss(model: EnergyTransformer, images: Tensor, mask: Tensor) -> Tensor:
    """The training objective, differentiated through every step's gradient (second derivatives by autograd)."""
    block = model.descent.blocks[0]
    x = model.start_tokens(images, mask)
    for _ in range(model.descent.steps):
        g = block.norm(x)
        energy = attention_energy(g, block.query, block.key, block.beta)[0] + hopfield_energy(g, block.memories)
        x = x - model.descent.step_size * torch.autograd.grad(energy.sum(), g, create_graph=True)[0]
    error = (model.decode(x) - model.to_patches(images)).square().mean(dim=2)
    return (error * mask).sum() / mask.sum()
