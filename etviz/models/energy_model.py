"""What the Energy Transformers share: hidden patches form in a descent on an energy, and every state can be seen."""

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.base import MaskedImageModel
from etviz.models.descent import EnergyDescent
from etviz.models.trace import TokenTrace, Trace, token_fields


class EnergyModel(MaskedImageModel):
    """A masked image model that descends an energy. Subclasses set the parts below and write `start_tokens`."""

    has_energy = True
    descent: EnergyDescent  # in which the hidden patches form
    decoder: nn.Module  # tokens (..., D) -> patches (..., patch_dim) in normalised units

    def start_tokens(self, images: Tensor, mask: Tensor, num_hidden: int | None = None) -> Tensor:
        """The state before the first step, CLS first.

        Args:
            images, mask, num_hidden: as `MaskedImageModel.predict_patches` takes them.

        Returns:
            (B, 1 + N, D).
        """
        raise NotImplementedError

    def predict_patches(
        self,
        images: Tensor,
        mask: Tensor,
        num_hidden: int | None = None,
        *,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
    ) -> Tensor:
        """See `MaskedImageModel.predict_patches`; steps, step_size and beta replace the model's own."""
        tokens = self.start_tokens(images, mask, num_hidden)
        own = steps is None and step_size is None and beta is None
        settings = None if own else self.descent.settings(steps=steps, step_size=step_size, beta=beta)
        return self.decode(self.descent(tokens, settings))

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens, CLS first, to patches in normalised units: (..., 1 + N, D) -> (..., N, patch_dim)."""
        return self.decoder(tokens[..., 1:, :])

    @torch.no_grad()
    def trace(
        self,
        images: Tensor,
        mask: Tensor,
        *,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
        rule: str = "fixed",
        tolerance: float | None = None,
        keep_attention: bool = True,
        start: Tensor | None = None,
    ) -> Trace:
        """Reconstruct, keeping every state on the way.

        Args:
            images: (B, C, H, W) float in [0, 1].
            mask: (B, N) bool, True = hidden.
            steps, step_size, beta: the model's own where None. Another beta is another energy function.
            rule: "fixed" takes every step as asked; "backtracking" halves a step until the energy does not rise;
                "sphere" takes every step as asked, and layer-norms the tokens after it. Only on the sphere does a
                descent converge: otherwise the tokens grow with every step, and the same step turns them ever less.
            tolerance: stop once every image has settled: the part of the gradient that lies along the sphere
                (``Trace.stationarity``) is at most this share of the whole gradient. ``steps`` is then the limit. The
                share has no unit, so that one tolerance suits every model, and it depends on the state alone, so that a
                descent which starts at a settled state ends there. None: always take all steps.
            keep_attention: keep the attention maps (2.6 MB an image at the default sizes).
            start: (B, 1 + N, D) tokens to descend from; `start_tokens` where None.

        Raises:
            UsageError: images, mask or a setting of the wrong shape or range.
        """
        self.check_inputs(images, mask)
        settings = self.descent.settings(steps=steps, step_size=step_size, beta=beta, rule=rule, tolerance=tolerance)
        tokens, encoder = self.traced_start(images, mask, keep_attention)
        tokens = tokens if start is None else check_start(start, tokens)
        record = self.descent.record(tokens, settings, keep_attention=keep_attention)
        index = torch.arange(-1, self.num_patches, device=mask.device).expand(images.shape[0], -1)
        frames = self.to_images(self.decode(record.tokens))
        return Trace(**token_fields(record, settings, mask, index), frames=frames, encoder=encoder)

    def traced_start(self, images: Tensor, mask: Tensor, keep_attention: bool) -> tuple[Tensor, TokenTrace | None]:
        """`start_tokens`, and the trace of the descent that made them where there is one before the model's own."""
        return self.start_tokens(images, mask), None

    def represented(self, trace: Trace) -> Tensor:
        """The layer-normed tokens at every step of a descent, of which `encode` gives the last: (B, T+1, N, D)."""
        return self.descent.normalized(trace.tokens)


def as_energy_model(model: nn.Module) -> EnergyModel:
    """The model itself, known to descend an energy. Raises `UsageError` where it does not."""
    if not isinstance(model, EnergyModel):
        kind = getattr(model, "name", None) or type(model).__name__
        raise UsageError(f"A model of kind {kind!r} has no energy: choose an Energy Transformer.")
    return model


def check_start(start: Tensor, tokens: Tensor) -> Tensor:
    """``start`` itself. Raises `UsageError` unless it is of the shape of the model's own start ``tokens``."""
    if start.shape != tokens.shape:
        raise UsageError(f"start must be of shape {tuple(tokens.shape)}, not {tuple(start.shape)}.")
    return start


def prepend_cls(tokens: Tensor, cls_token: Tensor) -> Tensor:
    """(B, N, D) and (D,) -> (B, 1 + N, D)."""
    return torch.cat([cls_token.expand(tokens.shape[0], 1, -1), tokens], dim=1)
