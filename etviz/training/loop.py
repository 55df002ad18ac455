"""`fit` is the loop, readable top to bottom, and below it are its pieces.

Knows nothing of Hydra; commands and notebooks both call it. Every random choice of a step (which images, flips, crops,
masks) is a function of (seed, step), so that a run resumed at any step goes on exactly as if it had never stopped.
"""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from etviz import checkpoints
from etviz.data import Dataset, holdout_split
from etviz.devices import describe_device, resolve_precision
from etviz.errors import UsageError
from etviz.masks import num_hidden
from etviz.metrics import evaluate_model
from etviz.models import MaskedImageModel
from etviz.training.batches import Batch, TrainStep, draw_batch, epoch_order
from etviz.training.config import MASK_SEED, TrainConfig
from etviz.training.optimizers import make_optimizers
from etviz.training.processes import make_fabric
from etviz.training.resume import load_last
from etviz.training.saving import save, save_start, writing
from etviz.training.state import Callback, State
from etviz.training.stopping import asked_to_stop, interruptible

PATIENCE = 10  # steps without a finite loss, one after the other, before the run is given up


def fit(
    model: MaskedImageModel,
    dataset: Dataset,
    config: TrainConfig,
    run: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    *,
    resume: bool = False,
) -> State:
    """Train a model on a dataset's train split.

    A part of the train split is held out for validation, under fixed masks; the best weights by it and the last state
    are kept. Ctrl-C, SIGTERM and SIGHUP finish the step, save, and raise KeyboardInterrupt. A step whose gradient is
    not finite is left out and counted. The run folder is claimed: no other process trains in it.

    Args:
        model: made by `create_model`; trained in place, and left at the moving average where there is one.
        dataset: its test split is never touched.
        config: the recipe.
        run: folder for checkpoints and history; nothing is written where None.
        callbacks: told of the run's progress.
        resume: go on from ``run``'s last state.

    Returns:
        The final state, with the history.

    Raises:
        UsageError: data too small for a batch, nothing to resume, other data or another recipe than those of the run to
            resume, a run folder that another process trains in or that takes no more files, or a loss that stays not
            finite for ten steps.
        KeyboardInterrupt: after saving.
    """
    fabric = make_fabric(config)
    fabric.launch()
    device, run = fabric.device, None if run is None else Path(run)
    check_sizes(config, model.num_patches, dataset, fabric.world_size)
    images = dataset.train_images.to(device)
    train_index, held_out = validation_split(dataset, config)
    held_out_images = images[held_out.to(device)]
    steps_per_epoch = len(train_index) // config.batch_size
    state = State(model, config, config.epochs * steps_per_epoch, steps_per_epoch, run, describe_device(device))
    state.precision, state.data = resolve_precision(config.precision, device), fingerprint(dataset)
    snapshot_at = snapshot_steps(state.total_steps, steps_per_epoch, config.snapshots)
    tell = _Teller(callbacks if fabric.is_global_zero else ())
    with writing(state, fabric), tell.until_the_end(state), interruptible() as interrupted:
        train_step, optimizers = _set_up(fabric, state)
        if resume:
            load_last(state, optimizers)
        else:
            save_start(state, optimizers, dataset, fabric)
        tell.on_start(state)
        meter, order = _Meter(state, fabric), train_index[:0]
        model.train()
        while state.step < state.total_steps:
            if state.step % steps_per_epoch == 0 or not len(order):
                order = epoch_order(train_index, config.seed, state.step // steps_per_epoch).to(device)
            state.lr = learning_rate(state.step, state.total_steps, config)
            batch = draw_batch(order, state, fabric.global_rank, fabric.world_size)
            meter.add(*_update(train_step, optimizers, fabric, state, (images, batch)))
            state.step += 1
            validate = is_milestone(state.step, config.validate_every * steps_per_epoch, state.total_steps)
            log = validate or state.step % config.log_every == 0

            if log:
                meter.read()
                tell.on_log(state)
            if state.step in snapshot_at and run is not None and fabric.is_global_zero:
                checkpoints.save_snapshot(state.shipped, run, state.step, state.epoch, state.images_seen)
            if validate:
                with meter.paused():
                    _validate(state, held_out_images, fabric, tell)
                    save(state, optimizers, dataset, fabric)
            if asked_to_stop(interrupted, fabric, log):
                break
        meter.read()
        if state.step < state.total_steps:
            save(state, optimizers, dataset, fabric)
            raise KeyboardInterrupt
    if state.average is not None:
        model.load_state_dict(state.shipped.state_dict())
    model.eval()
    return state


# ---- the pieces, in the order fit uses them --------------------------------------------------------------------------


def _set_up(fabric, state: State) -> tuple[nn.Module, list]:
    """The step and the optimizers on the device, as Fabric wraps them, and the average beside the model."""
    model, config = state.model, state.config
    train_step, *optimizers = fabric.setup(
        _compiled(TrainStep(model, config.flip, config.crop), config, fabric.device),
        *make_optimizers(model, config, fabric.device),
        _reapply_compile=False,  # around several devices' wrapper the step would be no single graph
    )
    state.average = moving_average(model, config.ema) if config.ema else None
    return train_step, optimizers


def _compiled(step: TrainStep, config: TrainConfig, device: torch.device) -> nn.Module:
    """The step as one compiled graph, where the configuration or a CUDA device says so."""
    wanted = device.type == "cuda" if config.compile == "auto" else config.compile
    return cast("nn.Module", torch.compile(step, fullgraph=True)) if wanted else step


def learning_rate(step: int, total_steps: int, config: TrainConfig) -> float:
    """Linear warm-up, then cosine from lr to min_lr at the last step."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    return config.min_lr + (config.lr - config.min_lr) * 0.5 * (1 + math.cos(math.pi * progress))


def is_milestone(step: int, every: float, total_steps: int) -> bool:
    """Whether a step from 1 on is a multiple of ``every``, rounded to whole steps, or the last."""
    return every <= 1 or step == total_steps or step == round(round(step / every) * every)


def snapshot_steps(total_steps: int, steps_per_epoch: int, count: int) -> set[int]:
    """About ``count`` log-spaced steps from a tenth of an epoch to the last."""
    if count == 0:
        return set()
    first = min(max(1, steps_per_epoch // 10), total_steps)
    if count == 1:
        return {total_steps}
    return {round(first * (total_steps / first) ** (i / (count - 1))) for i in range(count)}


def validation_split(dataset: Dataset, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Indices into the train split: what is trained on, and what is held out (a tenth at most)."""
    count = len(dataset.train_images)
    return holdout_split(count, min(config.validation_images, max(1, count // 10)))


def fingerprint(dataset: Dataset) -> str:
    """The number of training images and a checksum of them: what a run that is resumed knows its data by."""
    images = dataset.train_images.cpu().contiguous()
    return f"{len(images)} images, {hashlib.sha256(images.numpy().data).hexdigest()[:16]}"


def check_sizes(config: TrainConfig, num_patches: int, dataset: Dataset, world_size: int = 1) -> None:
    """Raise `UsageError` unless the data fills a batch, a batch fills the devices, and patches are hidden."""
    count = len(validation_split(dataset, config)[0])
    if config.batch_size > count:
        raise UsageError(f"train.batch_size {config.batch_size} is more than the {count} images there are to train on.")
    if num_hidden(config.ratio, num_patches) == 0:
        raise UsageError(f"train.ratio {config.ratio} hides none of {num_patches} patches: there is nothing to learn.")
    if config.batch_size % world_size:
        raise UsageError(f"train.batch_size {config.batch_size} cannot be shared evenly by {world_size} devices.")


def _update(train_step, optimizers, fabric, state: State, inputs: tuple[Tensor, Batch]) -> tuple[Tensor, Tensor]:
    """One step at the state's learning rate; the loss and the gradient's norm, still on the device.

    Where the norm is not finite, on whichever device, the weights and the optimizers stay as they are.
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = state.lr * group["scale"]
        optimizer.zero_grad(set_to_none=True)
    loss = train_step(*inputs)
    fabric.backward(loss)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), state.config.clip)
    for optimizer in optimizers:
        getattr(optimizer, "optimizer", optimizer).found_inf = (~torch.isfinite(norm)).float()
        optimizer.step()
    if state.average is not None:
        state.average.update_parameters(state.model)
    return loss, norm


def moving_average(model: MaskedImageModel, decay: float) -> AveragedModel:
    """An exponential moving average of a model's weights.

    After n steps its decay is (1 + n) / (10 + n) at most, so that it forgets where the weights started.
    """

    def towards(average, weights, count) -> None:
        count = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(average, weights, count)

    return AveragedModel(model, multi_avg_fn=towards).requires_grad_(False)


def _validate(state: State, images: Tensor, fabric, tell: "_Teller") -> None:
    """Masked MSE on the held-out part, in the training precision, as a new row of the history."""
    with fabric.autocast():
        scores = evaluate_model(
            state.shipped, images, ratio=state.config.ratio, mask_seed=MASK_SEED, include_ssim=False
        )
    state.model.train()
    if not math.isfinite(scores["masked_mse"]):  # before anything is saved: the last state stays one to resume from
        raise UsageError(
            f"The weights are no longer finite at step {state.step}: lower train.lr or model.step_size. "
            "The saved state is that of the last good validation."
        )
    state.history.append(
        {
            "step": state.step,
            "epoch": round(state.epoch, 4),
            "images": state.images_seen,
            "seconds": round(state.seconds, 2),
            "lr": state.lr,
            "train_loss": state.train_loss,
            "gradient_norm": state.gradient_norm,
            "images_per_second": round(state.images_per_second, 1),
            "masked_mse": scores["masked_mse"],
            "masked_psnr": scores["masked_psnr"],
        }
    )
    tell.on_validation(state)


# ---- bookkeeping -----------------------------------------------------------------------------------------------------


class _Teller:
    """Calls every callback in turn."""

    def __init__(self, callbacks: Sequence[Callback]):
        self.callbacks = callbacks

    @contextlib.contextmanager
    def until_the_end(self, state: State) -> Iterator[None]:
        """End however the run ends, if it has started: a progress bar must give the terminal back."""
        self.started = False
        try:
            yield
        finally:
            if self.started:
                self.on_end(state)

    def on_start(self, state: State) -> None:
        self.started = True
        for callback in self.callbacks:
            callback.on_start(state)

    def __getattr__(self, event: str):
        def call(state: State) -> None:
            for callback in self.callbacks:
                getattr(callback, event)(state)

        return call


class _Meter:
    """Sums losses on the device and times the loop, so that only `read` waits: for the device, and other processes.

    Raises `UsageError` once `PATIENCE` steps in a row had no finite gradient.
    """

    def __init__(self, state: State, fabric):
        self.state, self.fabric = state, fabric
        self.sums = torch.zeros(3, device=fabric.device)  # loss, gradient norm, steps; of those that were finite
        self.failed = torch.zeros((), device=fabric.device)  # steps in a row that were not, up to now
        self.worst = torch.zeros((), device=fabric.device)  # the most of them since the last read
        self.steps = 0
        self.since = time.perf_counter()

    def add(self, loss: Tensor, norm: Tensor) -> None:
        finite = torch.isfinite(norm)
        one = torch.ones_like(norm)
        self.sums += torch.where(finite, torch.stack([loss.detach().float(), norm.detach().float(), one]), 0.0)
        self.failed = torch.where(finite, 0.0, self.failed + 1)
        self.worst = torch.maximum(self.worst, self.failed)
        self.steps += 1

    def read(self) -> None:
        if self.steps == 0:
            return
        numbers = torch.cat([self.sums, self.worst[None]])
        loss, norm, good, worst = self.fabric.all_reduce(numbers, reduce_op="mean").tolist()  # one wait for all
        elapsed = time.perf_counter() - self.since
        state = self.state
        state.seconds += elapsed
        state.skipped += self.steps - round(good)
        state.train_loss, state.gradient_norm = (loss / good, norm / good) if good else (math.nan, math.nan)
        state.images_per_second = self.steps * state.config.batch_size / elapsed
        self.sums.zero_()
        self.worst.zero_()
        self.steps, self.since = 0, time.perf_counter()
        if worst >= PATIENCE:
            kept = f" The best weights so far are in {str(state.run)!r}." if state.run and state.history else ""
            raise UsageError(
                f"The loss is no longer finite, in {round(worst)} steps in a row up to step {state.step}: "
                f"lower train.lr or model.step_size in a new run.{kept}"
            )

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count as training."""
        yield
        self.since = time.perf_counter()
