"""Descent on the energy: the loop itself, the step rules, and the record of a descent."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.energy import EnergyBlock, Evaluation, check_beta

RULES = ("fixed", "backtracking")
CPU_IMAGES = 8  # at once, on a CPU
MAX_HALVINGS = 40  # 10 * 2^-40 is about 1e-11: below that no step changes a float32 state


@dataclass
class Record:
    """A descent of T steps, T + 1 states (0 = before the first), in tokens. Shapes as in `etviz.models.Trace`."""

    tokens: Tensor  # (B, T+1, N, D)
    attention_energy: Tensor  # (B, T+1, N)
    hopfield_energy: Tensor  # (B, T+1, N)
    gradient_norm: Tensor  # (B, T+1)
    step_sizes: Tensor  # (B, T)
    settled: Tensor  # (B,)
    block: Tensor  # (T+1,)
    attention: Tensor | None  # (B, T+1, H, N, N)


class EnergyDescent(nn.Module):
    """``depth`` energy functions, each descended for ``steps`` steps: x <- x - step_size * dE/dg (eq. 6)."""

    def __init__(self, depth: int, steps: int, step_size: float, **block):
        super().__init__()
        if depth < 1:
            raise UsageError(f"depth must be at least 1, not {depth}.")
        check_steps(steps)
        check_step_size(step_size)
        self.blocks = nn.ModuleList(EnergyBlock(**block) for _ in range(depth))
        self.steps = steps
        self.step_size = step_size

    def forward(
        self,
        x: Tensor,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """The last state. x (B, N, D) -> (B, N, D); ``valid`` (B, N) bool marks tokens that exist."""
        steps, step_size = self._defaults(steps, step_size, beta)
        if _in_parts(x):
            return torch.cat([self._descend(*part, steps, step_size, beta) for part in _parts(x, valid)])
        return self._descend(x, valid, steps, step_size, beta)

    def _descend(self, x: Tensor, valid: Tensor | None, steps: int, step_size: float, beta: float | None) -> Tensor:
        for block in self.blocks:
            projection = block.projection()
            for _ in range(steps):
                x = x.sub(block.gradient(block.norm(x), projection, beta, valid), alpha=step_size)
        return x

    def normalized(self, x: Tensor) -> Tensor:
        """The state the last energy is a function of: g = norm(x)."""
        return self.blocks[-1].norm(x)

    def energy(self, x: Tensor, block: int = -1, beta: float | None = None) -> Tensor:
        """The energy of any states by one block's energy function, with no descent: x (B, N, D) -> (B,)."""
        function = self.blocks[block]
        parts = x.split(CPU_IMAGES) if _in_parts(x) else [x]
        return torch.cat([function.energy(function.norm(part), beta) for part in parts])

    def beta(self, beta: float | None = None) -> float:
        """The inverse temperature that ``beta`` stands for: the blocks' own where None."""
        return self.blocks[0].beta if beta is None else float(beta)

    @torch.no_grad()
    def record(
        self,
        x: Tensor,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
        rule: str = "fixed",
        tolerance: float | None = None,
        keep_attention: bool = True,
        valid: Tensor | None = None,
    ) -> Record:
        """Descend like `forward`, keeping every state. See `etviz.models.EnergyTransformer.trace`."""
        steps, step_size = self._defaults(steps, step_size, beta)
        if rule not in RULES:
            raise UsageError(f"There is no step rule {rule!r}: choose one of {', '.join(RULES)}.")
        if tolerance is not None and not tolerance > 0:
            raise UsageError(f"tolerance must be above 0, not {tolerance}.")
        settings = (steps, step_size, beta, rule, tolerance, keep_attention)
        if _in_parts(x) and tolerance is None:  # with a tolerance, all images stop together
            return _joined([self._record(*part, *settings) for part in _parts(x, valid)])
        return self._record(x, valid, *settings)

    def _record(self, x, valid, steps, step_size, beta, rule, tolerance, keep_attention) -> Record:
        recorder = _Recorder(x.shape[0], tolerance, keep_attention)
        for index, block in enumerate(self.blocks):
            projection = block.projection()
            now = block.evaluate(block.norm(x), projection, beta, valid)
            recorder.start_block(index)
            for _ in range(steps):
                recorder.add_state(x, now)
                sizes = x.new_full((x.shape[0],), step_size)
                candidate, after = _step(block, projection, x, now, sizes, beta, valid)
                if rule == "backtracking":
                    step = (candidate, after, sizes)
                    candidate, after, sizes = _backtrack(block, projection, x, now, step, beta, valid)
                recorder.add_step(sizes, now, after)
                x, now = candidate, after
                if recorder.all_settled():
                    break
        recorder.add_state(x, now)
        return recorder.finish()

    def _defaults(self, steps: int | None, step_size: float | None, beta: float | None) -> tuple[int, float]:
        steps = self.steps if steps is None else steps
        step_size = self.step_size if step_size is None else step_size
        check_steps(steps)
        check_step_size(step_size)
        if beta is not None:
            check_beta(beta)
        return steps, step_size


def _in_parts(x: Tensor) -> bool:
    """Whether to take a few images at a time through all steps: then what a step makes stays in a CPU's cache."""
    return not torch.is_grad_enabled() and x.device.type == "cpu" and x.shape[0] > CPU_IMAGES


def _parts(x: Tensor, valid: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    pieces = x.split(CPU_IMAGES)
    return list(zip(pieces, [None] * len(pieces) if valid is None else valid.split(CPU_IMAGES), strict=True))


def _joined(records: list[Record]) -> Record:
    """Records of the same number of steps as one, image after image."""
    per_image = {name: [getattr(record, name) for record in records] for name in vars(records[0])}
    block = per_image.pop("block")[0]  # the same for all
    return Record(block=block, **{k: None if v[0] is None else torch.cat(v) for k, v in per_image.items()})


def total_energy(evaluation: Evaluation) -> Tensor:
    """E_att + E_hop of each image, (B,): summed exactly as `Trace.energy` sums them."""
    return evaluation.attention_energy.sum(-1) + evaluation.hopfield_energy.sum(-1)


def _step(block, projection, x, now, sizes, beta, valid) -> tuple[Tensor, Evaluation]:
    """One step of ``sizes`` (B,) along minus the gradient, and the evaluation of where it leads."""
    candidate = x - sizes[:, None, None] * now.gradient
    return candidate, block.evaluate(block.norm(candidate), projection, beta, valid)


def _backtrack(block, projection, x, now, step, beta, valid) -> tuple[Tensor, Evaluation, Tensor]:
    """Halve the step of every image whose energy would rise, until it does not; stay put if it always does."""
    candidate, after, sizes = step
    energy = total_energy(now)
    for _ in range(MAX_HALVINGS):
        rises = ~(total_energy(after) <= energy)  # also true for NaN
        if not rises.any():
            return candidate, after, sizes
        sizes = torch.where(rises, sizes / 2, sizes)
        candidate, after = _step(block, projection, x, now, sizes, beta, valid)
    rises = ~(total_energy(after) <= energy)
    after = Evaluation(*(_where(rises, old, new) for old, new in zip(now, after, strict=True)))
    return _where(rises, x, candidate), after, torch.where(rises, 0.0, sizes)


def _where(chosen: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """torch.where by image: chosen (B,), the rest (B, ...)."""
    return torch.where(chosen.view(-1, *[1] * (yes.ndim - 1)), yes, no)


class _Recorder:
    """Collects states and steps; says when every image has settled."""

    def __init__(self, batch: int, tolerance: float | None, keep_attention: bool):
        self.tolerance, self.keep_attention = tolerance, keep_attention
        self.settled = torch.full((batch,), -1)
        self.states: list[tuple[Tensor, Evaluation, int]] = []
        self.sizes: list[Tensor] = []
        self.batch = batch

    def start_block(self, index: int) -> None:
        self.block = index
        self.settled = torch.full((self.batch,), -1)  # each energy function settles anew

    def add_state(self, x: Tensor, evaluation: Evaluation) -> None:
        if not self.keep_attention:
            evaluation = evaluation._replace(attention=None)
        norm = torch.linalg.vector_norm(evaluation.gradient.flatten(1), dim=1)
        self.states.append((x, evaluation._replace(gradient=norm), self.block))

    def add_step(self, sizes: Tensor, before: Evaluation, after: Evaluation) -> None:
        self.sizes.append(sizes)
        if self.tolerance is None:
            return
        old, new = total_energy(before), total_energy(after)
        still = ((new - old).abs() <= self.tolerance * new.abs()).cpu()
        self.settled[still & (self.settled < 0)] = len(self.sizes)

    def all_settled(self) -> bool:
        return self.tolerance is not None and bool((self.settled >= 0).all())

    def finish(self) -> Record:
        states, evaluations, blocks = zip(*self.states, strict=True)
        stacked = {
            field: torch.stack([getattr(e, field) for e in evaluations], dim=1)
            for field in ("attention_energy", "hopfield_energy", "gradient")
        }
        attention = torch.stack([e.attention for e in evaluations], dim=1) if self.keep_attention else None
        return Record(
            tokens=torch.stack(states, dim=1),
            attention_energy=stacked["attention_energy"],
            hopfield_energy=stacked["hopfield_energy"],
            gradient_norm=stacked["gradient"],
            step_sizes=torch.stack(self.sizes, dim=1) if self.sizes else states[0].new_zeros(self.batch, 0),
            settled=self.settled,
            block=torch.tensor(blocks),
            attention=attention,
        )


def check_steps(steps: int) -> None:
    """Raise `UsageError` unless steps is a whole number of 0 or more."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise UsageError(f"steps must be a whole number of 0 or more, not {steps}.")


def check_step_size(step_size: float) -> None:
    """Raise `UsageError` unless step_size is above 0."""
    if not step_size > 0:
        raise UsageError(f"step_size must be above 0, not {step_size}.")
