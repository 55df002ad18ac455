"""Descent on the energy: its settings, the loop itself, the step rules, and the record of a descent."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from etviz.errors import UsageError
from etviz.models.energy import EnergyBlock, Evaluation, check_beta, layer_normed
from etviz.models.projection import Projection

CPU_IMAGES = 8  # at once, on a CPU
MAX_HALVINGS = 40  # 10 * 2^-40 is about 1e-11: below that no step changes a float32 state


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """How to descend, and which energy: all that a descent depends on besides the weights and the start.

    `EnergyDescent.settings` fills in the model's own values. Raises `UsageError` for a value out of range.
    """

    steps: int  # for each block
    step_size: float  # alpha in x <- x - alpha * dE/dg
    beta: float  # inverse temperature of the attention
    rule: str = "fixed"  # one of `RULES`
    tolerance: float | None = None  # stop once every image has settled: see `Trace.settled`

    def __post_init__(self):
        check_steps(self.steps)
        check_step_size(self.step_size)
        check_beta(self.beta)
        if self.rule not in RULES:
            raise UsageError(f"There is no step rule {self.rule!r}: choose one of {', '.join(RULES)}.")
        if self.tolerance is not None and not 0 < self.tolerance < math.inf:
            raise UsageError(f"tolerance must be above 0 and finite, not {self.tolerance}.")


@dataclass
class Record:
    """A descent of T steps, T + 1 states (0 = before the first), in tokens. Shapes as in `etviz.models.Trace`."""

    tokens: Tensor  # (B, T+1, N, D)
    attention_energy: Tensor  # (B, T+1, N)
    hopfield_energy: Tensor  # (B, T+1, N)
    gradient_norm: Tensor  # (B, T+1)
    stationarity: Tensor  # (B, T+1)
    step_sizes: Tensor  # (B, T)
    settled: Tensor  # (B,)
    block: Tensor  # (T+1,)
    attention: Tensor | None  # (B, T+1, H, N, N)


class EnergyDescent(nn.Module):
    """``depth`` energy functions, each descended for ``steps`` steps: x <- x - step_size * dE/dg (eq. 6).

    With ``normalise_tokens`` every step ends on the sphere, as by the rule "sphere" of `RULES`.
    """

    def __init__(self, depth: int, steps: int, step_size: float, *, normalise_tokens: bool = False, **block):
        super().__init__()
        if depth < 1:
            raise UsageError(f"depth must be at least 1, not {depth}.")
        check_steps(steps)
        check_step_size(step_size)
        # An nn.ModuleList, typed by what it holds.
        self.blocks = cast("Sequence[EnergyBlock]", nn.ModuleList(EnergyBlock(**block) for _ in range(depth)))
        self.steps = steps
        self.step_size = step_size
        self.normalise_tokens = normalise_tokens

    @property
    def beta(self) -> float:
        """The inverse temperature, the same in all blocks."""
        return self.blocks[0].beta

    def settings(
        self,
        *,
        steps: int | None = None,
        step_size: float | None = None,
        beta: float | None = None,
        rule: str = "fixed",
        tolerance: float | None = None,
    ) -> DescentSettings:
        """The given settings, with the model's own in place of None. Raises `UsageError` for one out of range."""
        return DescentSettings(
            steps=self.steps if steps is None else steps,
            step_size=self.step_size if step_size is None else step_size,
            beta=self.beta if beta is None else float(beta),
            rule=rule,
            tolerance=tolerance,
        )

    def forward(self, x: Tensor, settings: DescentSettings | None = None, valid: Tensor | None = None) -> Tensor:
        """The last state, by the fixed rule and without a tolerance: see `record` for the others.

        Args:
            x: (B, N, D) tokens, the start.
            settings: the model's own where None.
            valid: (B, N) bool, the tokens that exist; all where None.

        Returns:
            (B, N, D).
        """
        if _in_parts(x):
            return torch.cat([self._descend(*part, settings) for part in _parts(x, valid)])
        return self._descend(x, valid, settings)

    def _descend(self, x: Tensor, valid: Tensor | None, settings: DescentSettings | None) -> Tensor:
        # A compiled training step comes this way, so its own settings are read here rather than made into an object.
        own = settings is None
        steps, step_size = (self.steps, self.step_size) if own else (settings.steps, settings.step_size)
        beta = None if own else settings.beta
        for block in self.blocks:
            projection = block.projection()
            for _ in range(steps):
                x = x.sub(block.gradient(block.norm(x), projection, beta, valid), alpha=step_size)
                x = layer_normed(x) if self.normalise_tokens else x
        return x

    def normalized(self, x: Tensor) -> Tensor:
        """The state that the last energy is a function of: g = norm(x)."""
        return self.blocks[-1].norm(x)

    def energy(self, x: Tensor, settings: DescentSettings | None = None, block: int = -1) -> Tensor:
        """The energy of any states by one block's energy function, with no descent: x (B, N, D) -> (B,)."""
        function, beta = self.blocks[block], (settings or self.settings()).beta
        parts = x.split(CPU_IMAGES) if _in_parts(x) else [x]
        return torch.cat([function.energy(function.norm(part), beta) for part in parts])

    def gradient(self, x: Tensor, settings: DescentSettings | None = None, block: int = -1) -> Tensor:
        """dE/dg of any states by one block's energy function: x (B, N, D) -> (B, N, D)."""
        function, beta = self.blocks[block], (settings or self.settings()).beta
        return function.gradient(function.norm(x), function.projection(), beta)

    @torch.no_grad()
    def settle(self, x: Tensor, settings: DescentSettings) -> tuple[Tensor, Tensor]:
        """Descend on the sphere by the last energy until each image has settled.

        The same steps as by the rule "sphere", whatever rule the settings name, without a record of them.

        Args:
            x: (B, N, D) tokens, the start.
            settings: with a tolerance; its steps are the most for each image.

        Returns:
            The settled states (B, N, D), layer-normed, and the steps that each took (B,): -1 where it did not settle.
        """
        function = self.blocks[-1]
        projection = function.projection()
        tolerance = settings.tolerance or 0.0
        ends, taken = layer_normed(x), torch.full((len(x),), -1)
        for image in range(len(x)):  # one after another: each stops where it has settled
            state = ends[image : image + 1]
            for step in range(settings.steps + 1):
                gradient = function.gradient(function.norm(state), projection, settings.beta)
                if _is_settled(function, gradient, function.norm.along_sphere(state, gradient), tolerance):
                    taken[image] = step
                    break
                if step < settings.steps:
                    state = layer_normed(state.sub(gradient, alpha=settings.step_size))
            ends[image] = state[0]
        return ends, taken

    @torch.no_grad()
    def record(
        self,
        x: Tensor,
        settings: DescentSettings | None = None,
        *,
        keep_attention: bool = True,
        valid: Tensor | None = None,
    ) -> Record:
        """Descend from ``x`` (B, N, D), keeping every state. See `EnergyModel.trace`."""
        settings = self.settings() if settings is None else settings
        if _in_parts(x) and settings.tolerance is None:  # with a tolerance, all images stop together
            return _joined([self._record(*part, settings, keep_attention) for part in _parts(x, valid)])
        return self._record(x, valid, settings, keep_attention)

    def _record(self, x: Tensor, valid: Tensor | None, settings: DescentSettings, keep_attention: bool) -> Record:
        recorder = _Recorder(x.shape[0], settings.tolerance, keep_attention)
        take_step = RULES[settings.rule]
        for index, function in enumerate(self._functions(settings, valid)):
            now = function.evaluate(x)
            recorder.start_block(index)
            recorder.see(function.block, x, now)
            for _ in range(settings.steps):
                if recorder.all_settled():
                    break
                sizes = x.new_full((x.shape[0],), settings.step_size)
                step = take_step(function, x, now, sizes)
                recorder.add_step(step.sizes)
                x, now = step.state, step.evaluation
                recorder.see(function.block, x, now)
        recorder.keep()
        return recorder.finish()

    def _functions(self, settings: DescentSettings, valid: Tensor | None) -> Iterator["_EnergyFunction"]:
        """The blocks' energies as these settings have them, one after the other: a projection takes memory."""
        on_sphere = self.normalise_tokens or settings.rule == "sphere"
        for block in self.blocks:
            yield _EnergyFunction(block, block.projection(), settings.beta, valid, on_sphere)


def _in_parts(x: Tensor) -> bool:
    """Whether to take a few images at a time through all steps, so that a step's results stay in the CPU's cache."""
    return not torch.is_grad_enabled() and x.device.type == "cpu" and x.shape[0] > CPU_IMAGES


def _parts(x: Tensor, valid: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    pieces = x.split(CPU_IMAGES)
    return list(zip(pieces, [None] * len(pieces) if valid is None else valid.split(CPU_IMAGES), strict=True))


def _joined(records: list[Record]) -> Record:
    """Several records of equally many steps as one record, image after image."""
    per_image = {name: [getattr(record, name) for record in records] for name in vars(records[0])}
    joined: dict[str, Any] = {name: None if of[0] is None else torch.cat(of) for name, of in per_image.items()}
    return Record(**joined | {"block": records[0].block})  # the same for all


def total_energy(evaluation: Evaluation) -> Tensor:
    """E_att + E_hop of each image, (B,): summed exactly as `Trace.energy` sums them."""
    return evaluation.attention_energy.sum(-1) + evaluation.hopfield_energy.sum(-1)


class _EnergyFunction(NamedTuple):
    """One block's energy as a function of the tokens x, with everything that stays the same during a descent."""

    block: EnergyBlock
    projection: Projection
    beta: float
    valid: Tensor | None
    on_sphere: bool  # whether every step ends with layer-normed tokens

    def evaluate(self, x: Tensor) -> Evaluation:
        """At the state x (B, N, D)."""
        return self.block.evaluate(self.block.norm(x), self.projection, self.beta, self.valid)

    def moved(self, x: Tensor, step: Tensor) -> Tensor:
        """Where ``step`` (B, N, D) leads from the state x."""
        return layer_normed(x + step) if self.on_sphere else x + step


class _Step(NamedTuple):
    """Where a step led."""

    state: Tensor  # (B, N, D)
    evaluation: Evaluation  # of that state
    sizes: Tensor  # (B,)


def _fixed(function: _EnergyFunction, x: Tensor, now: Evaluation, sizes: Tensor) -> _Step:
    """A step of ``sizes`` (B,) along minus the gradient."""
    state = function.moved(x, -sizes[:, None, None] * now.gradient)
    return _Step(state, function.evaluate(state), sizes)


def _backtracking(function: _EnergyFunction, x: Tensor, now: Evaluation, sizes: Tensor) -> _Step:
    """Halve the step of every image whose energy would rise, until it does not; stay put if it always does."""
    step, energy = _fixed(function, x, now, sizes), total_energy(now)
    for _ in range(MAX_HALVINGS):
        rises = ~(total_energy(step.evaluation) <= energy)  # also true for NaN
        if not rises.any():
            return step
        step = _fixed(function, x, now, torch.where(rises, step.sizes / 2, step.sizes))
    rises = ~(total_energy(step.evaluation) <= energy)
    evaluation = Evaluation(*(_where(rises, old, new) for old, new in zip(now, step.evaluation, strict=True)))
    return _Step(_where(rises, x, step.state), evaluation, torch.where(rises, 0.0, step.sizes))


# How a step is taken. "sphere" takes it as asked and then layer-norms the tokens (`layer_normed`), all of them, CLS and
# visible patches included. That changes no energy, but it keeps the steps from shrinking: by "fixed" the tokens grow
# with every step, so that the same step size turns them ever less and the descent never arrives. The state before the
# first step stays as given, and the step size is the model's own where none is given; on the sphere it hardly matters
# once alpha * |dE/dg| is large beside |x| = sqrt(D), for then a step leads to about the direction of -dE/dg.
RULES = {"fixed": _fixed, "backtracking": _backtracking, "sphere": _fixed}


def _where(chosen: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """torch.where by image: chosen (B,), the rest (B, ...)."""
    return torch.where(chosen.view(-1, *[1] * (yes.ndim - 1)), yes, no)


class _Seen(NamedTuple):
    """A state, what the energy is there, and how far it is from stationary."""

    state: Tensor  # (B, N, D)
    evaluation: Evaluation  # with the norm of the gradient (B,) in its place
    stationarity: Tensor  # (B,)
    block: int


class _Recorder:
    """Collects states and steps; says when every image has settled."""

    def __init__(self, batch: int, tolerance: float | None, keep_attention: bool):
        self.tolerance, self.keep_attention = tolerance, keep_attention
        self.states: list[_Seen] = []
        self.sizes: list[Tensor] = []
        self.batch = batch

    def start_block(self, index: int) -> None:
        self.block = index
        self.settled = torch.full((self.batch,), -1)  # each energy function settles anew

    def see(self, block: EnergyBlock, x: Tensor, evaluation: Evaluation) -> None:
        """Look at the state that the descent is in."""
        if not self.keep_attention:
            evaluation = evaluation._replace(attention=None)
        turning = block.norm.along_sphere(x, evaluation.gradient)
        norm = _norm(evaluation.gradient)
        self.seen = _Seen(x, evaluation._replace(gradient=norm), _norm(turning), self.block)
        if self.tolerance is not None:
            still = _is_settled(block, evaluation.gradient, turning, self.tolerance).cpu()
            self.settled[still & (self.settled < 0)] = len(self.sizes)

    def keep(self) -> None:
        """Record the state last seen."""
        self.states.append(self.seen)

    def add_step(self, sizes: Tensor) -> None:
        """Record the state last seen, and the step that leads on from it."""
        self.keep()
        self.sizes.append(sizes)

    def all_settled(self) -> bool:
        return self.tolerance is not None and bool((self.settled >= 0).all())

    def finish(self) -> Record:
        states, evaluations, stationarity, blocks = zip(*self.states, strict=True)
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
            stationarity=torch.stack(stationarity, dim=1),
            step_sizes=torch.stack(self.sizes, dim=1) if self.sizes else states[0].new_zeros(self.batch, 0),
            settled=self.settled,
            block=torch.tensor(blocks),
            attention=attention,
        )


def _is_settled(block: EnergyBlock, gradient: Tensor, turning: Tensor, tolerance: float) -> Tensor:
    """Whether at most this share of the gradient is left along the sphere: (B, N, D) twice -> (B,) bool."""
    return _norm(turning) <= tolerance * block.norm.gamma.abs() * _norm(gradient)


def _norm(values: Tensor) -> Tensor:
    """Euclidean, of each image: (B, ...) -> (B,)."""
    return torch.linalg.vector_norm(values.flatten(1), dim=1)


def check_steps(steps: int) -> None:
    """Raise `UsageError` unless steps is a whole number of 0 or more."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise UsageError(f"steps must be a whole number of 0 or more, not {steps}.")


def check_step_size(step_size: float) -> None:
    """Raise `UsageError` unless step_size is above 0 and finite."""
    if not 0 < step_size < math.inf:
        raise UsageError(f"step_size must be above 0 and finite, not {step_size}.")
