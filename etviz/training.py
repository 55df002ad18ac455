"""Training: `fit` is the loop, readable top to bottom. Knows nothing of Hydra; commands and notebooks both call it.

Every random choice of a step (which images, flips, crops, masks) is a function of (seed, step), so that a run resumed
at any step goes on exactly as if it had never stopped.
"""

import contextlib
import csv
import hashlib
import io
import math
import signal
import threading
import time
import typing
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from etviz import checkpoints
from etviz.data import CROP_PADDING, Dataset, augment, holdout_split, to_float
from etviz.errors import UsageError
from etviz.masks import mask_from_noise, num_hidden
from etviz.metrics import evaluate_model
from etviz.models import MaskedImageModel
from etviz.options import ABOVE_0, BELOW_1, Count, NonNegative, Positive, Whole, at_least, at_most, check_options

LAST = "last"  # a run's folder for resuming
STATE = "state.safetensors"  # what is in it
MASK_SEED = 1  # of the validation masks; the test split's headline number uses 0

Decay = Annotated[float, at_least(0), BELOW_1]  # of a moving average


@dataclass(kw_only=True)
class TrainConfig:
    """How to train; the defaults are the reference recipe's. Raises `UsageError` for what the annotations forbid."""

    epochs: Count = 1000
    batch_size: Count = 128  # over all devices
    lr: Positive = 5e-5
    min_lr: NonNegative = 1e-6  # reached at the end of the cosine
    warmup_steps: Whole = 0  # linear
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: NonNegative = 1e-4
    clip: Positive = 1.0  # largest gradient norm
    ratio: float = 0.85  # share of patches hidden
    flip: bool = True
    crop: bool = True
    seed: Whole = 0
    validation_images: Count = 2000  # held out of the train split, a tenth of it at most
    validate_every: Annotated[float, ABOVE_0, at_most(1e9)] = 1.0  # epochs
    snapshots: Annotated[int, at_least(0), at_most(1000)] = 8
    log_every: Count = 50  # steps; between logs and validations the loop never waits for the device
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int | str = "auto"
    num_nodes: Count = 1
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: Literal["auto", True, False] = "auto"  # auto: on CUDA

    def __post_init__(self):
        annotations = typing.get_type_hints(type(self), include_extras=True)
        vars(self).update(check_options(vars(self), annotations, section="train."))
        num_hidden(self.ratio)


@dataclass
class State:
    """What callbacks see: where the run is. Everything in it is the run's own, to read, not to change."""

    model: MaskedImageModel
    config: TrainConfig
    total_steps: int
    steps_per_epoch: int
    run: Path | None
    device: str = "cpu"
    precision: str = "32-true"  # what "auto" became
    data: str = ""  # `fingerprint` of the train split
    step: int = 0
    seconds: float = 0.0  # of training so far, earlier parts of a resumed run included
    train_loss: float = math.nan  # mean since the last log, over all processes
    gradient_norm: float = math.nan
    lr: float = 0.0
    images_per_second: float = math.nan
    best_mse: float = math.inf
    history: list[dict] = field(default_factory=list)  # a row for each validation, as in history.csv

    @property
    def epoch(self) -> float:
        """Epochs done, with fraction."""
        return self.step / self.steps_per_epoch

    @property
    def images_seen(self) -> int:
        """Images trained on so far."""
        return self.step * self.config.batch_size


class Callback:
    """Base class: override what you need. All are called on the first process only."""

    def on_start(self, state: State) -> None:
        """Before the first step."""

    def on_log(self, state: State) -> None:
        """Every ``log_every`` steps: train_loss, gradient_norm and images_per_second are fresh."""

    def on_validation(self, state: State) -> None:
        """After a validation: ``state.history[-1]`` is fresh."""

    def on_end(self, state: State) -> None:
        """After the last step, or on the way out of a run that was interrupted or failed."""


class TrainStep(nn.Module):
    """From dataset indices to the loss, all on the device, so that it compiles as one graph."""

    def __init__(self, model: MaskedImageModel, hidden: int, flip: bool, crop: bool):
        super().__init__()
        self.model, self.hidden, self.flip, self.crop = model, hidden, flip, crop

    def forward(self, images: Tensor, index: Tensor, flip: Tensor, offset: Tensor, noise: Tensor) -> Tensor:
        """images (n, C, S, S) uint8; index (B,); flip (B,) bool; offset (B, 2); noise (B, N) -> scalar loss."""
        batch = to_float(images[index])
        if self.flip or self.crop:
            batch = augment(batch, flip, offset)
        return self.model.loss(batch, mask_from_noise(noise, self.hidden), self.hidden)


def fit(
    model: MaskedImageModel,
    dataset: Dataset,
    config: TrainConfig,
    run: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
) -> State:
    """Train a model on a dataset's train split.

    A part of the train split is held out for validation, under fixed masks; the best weights by it and the last state
    are kept. Ctrl-C finishes the step, saves, and raises KeyboardInterrupt.

    Args:
        model: made by `create_model`; trained in place.
        dataset: its test split is never touched.
        config: the recipe.
        run: folder for checkpoints and history; nothing is written where None.
        callbacks: told of the run's progress.
        resume: go on from ``run``'s last state.

    Returns:
        The final state, with the history.

    Raises:
        UsageError: data too small for a batch, nothing to resume, other data than the run to resume was trained on,
            or a loss that is no longer finite.
        KeyboardInterrupt: after saving.
    """
    fabric = make_fabric(config)
    device, run = fabric.device, None if run is None else Path(run)
    images = dataset.train_images.to(device)
    train_index, held_out = validation_split(dataset, config)
    steps_per_epoch = len(train_index) // config.batch_size
    check_sizes(config, model.num_patches, dataset, fabric.world_size)
    held_out_images = images[held_out.to(device)]
    state = State(model, config, config.epochs * steps_per_epoch, steps_per_epoch, run, describe_device(device))
    state.precision, state.data = resolve_precision(config.precision, device), fingerprint(dataset)

    train_step = TrainStep(model, num_hidden(config.ratio, model.num_patches), config.flip, config.crop)
    train_step, optimizer = fabric.setup(
        _compiled(train_step, config, device),
        make_optimizer(model, config, device),
        _reapply_compile=False,  # around several devices' wrapper the step would be no single graph
    )
    if run is not None and fabric.is_global_zero:
        checkpoints.sweep(checkpoints.make_folder(run))
    if resume:
        load_last(state, optimizer)

    snapshot_at = snapshot_steps(state.total_steps, steps_per_epoch, config.snapshots)
    tell = _Teller(callbacks if fabric.is_global_zero else ())
    meter = _Meter(state, fabric)
    model.train()
    with tell.until_the_end(state), _interruptible() as interrupted:
        while state.step < state.total_steps:
            if state.step % steps_per_epoch == 0 or meter.epoch_order is None:
                meter.epoch_order = _epoch_order(train_index, config.seed, state.step // steps_per_epoch).to(device)
            state.lr = learning_rate(state.step, state.total_steps, config)
            batch = _batch(meter.epoch_order, state, fabric.global_rank, fabric.world_size)
            loss, norm = _update(train_step, optimizer, fabric, state, images, batch)
            state.step += 1
            meter.add(loss, norm)
            validate = is_milestone(state.step, config.validate_every * steps_per_epoch, state.total_steps)
            log = validate or state.step % config.log_every == 0

            if log:
                meter.read()
                tell.on_log(state)
            if state.step in snapshot_at and run is not None and fabric.is_global_zero:
                checkpoints.save_snapshot(model, run, state.step, state.epoch, state.images_seen)
            if validate:
                with meter.paused():
                    _validate(state, held_out_images, fabric, tell)
                    _save(state, optimizer, dataset, fabric)
            if _asked_to_stop(interrupted, fabric, log):
                break
        meter.read()
        if state.step < state.total_steps:
            _save(state, optimizer, dataset, fabric)
            raise KeyboardInterrupt
    model.eval()
    return state


# ---- the pieces, in the order fit uses them --------------------------------------------------------------------------


def make_fabric(config: TrainConfig):
    """Lightning Fabric for the configured devices; bf16 where the device computes in it, if precision is auto."""
    from lightning_fabric import Fabric

    try:
        hardware = dict(accelerator=config.accelerator, devices=config.devices, num_nodes=config.num_nodes)
        precision = resolve_precision(config.precision, Fabric(**hardware).device)
        fabric = Fabric(**hardware, precision=precision)
    except (ValueError, RuntimeError, TypeError) as error:  # Lightning's MisconfigurationException is a TypeError here
        raise UsageError(f"These devices or this precision cannot be used here: {error}") from error
    fabric.launch()
    return fabric


def resolve_precision(precision: str, device: torch.device) -> str:
    """What "auto" means on a device: bf16-mixed on CUDA and on CPUs with bf16 instructions, else 32-true."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if device.type == "cpu":
        return "bf16-mixed" if cpu_has_bf16() else "32-true"
    return "32-true"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AVX-512 BF16 or AMX): about four times fp32's rate."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def describe_device(device: torch.device) -> str:
    """A device in words, for cards: the GPU's name, or the CPU's with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        name = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or "CPU"
        threads = torch.get_num_threads()
        return f"{name} CPU, {threads} thread{'s' if threads > 1 else ''}"
    return str(device)


def make_optimizer(model: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    """AdamW over all parameters, fused where the device has it."""
    fused = device.type in ("cuda", "cpu")
    return torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=fused
    )


def _compiled(step: TrainStep, config: TrainConfig, device: torch.device) -> nn.Module:
    """The step as one compiled graph, where the configuration or a CUDA device says so."""
    wanted = device.type == "cuda" if config.compile == "auto" else config.compile
    return torch.compile(step, fullgraph=True) if wanted else step


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
    return f"{len(images)} images, {hashlib.sha256(images.numpy()).hexdigest()[:16]}"


def check_sizes(config: TrainConfig, num_patches: int, dataset: Dataset, world_size: int = 1) -> None:
    """Raise `UsageError` unless the data fills a batch, a batch fills the devices, and patches are hidden."""
    count = len(validation_split(dataset, config)[0])
    if config.batch_size > count:
        raise UsageError(f"train.batch_size {config.batch_size} is more than the {count} images there are to train on.")
    if num_hidden(config.ratio, num_patches) == 0:
        raise UsageError(f"train.ratio {config.ratio} hides none of {num_patches} patches: there is nothing to learn.")
    if config.batch_size % world_size:
        raise UsageError(f"train.batch_size {config.batch_size} cannot be shared evenly by {world_size} devices.")


def _epoch_order(train_index: Tensor, seed: int, epoch: int) -> Tensor:
    """The training images in this epoch's order."""
    generator = torch.Generator().manual_seed(_mix(seed, epoch))
    return train_index[torch.randperm(len(train_index), generator=generator)]


def _batch(order: Tensor, state: State, rank: int, world_size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """This process's share of a step: which images, and the random numbers that augment and mask them."""
    config, device = state.config, order.device
    start = (state.step % state.steps_per_epoch) * config.batch_size
    index = order[start + rank : start + config.batch_size : world_size]
    generator = torch.Generator(device=device).manual_seed(_mix(config.seed, state.step * world_size + rank, salt=1))
    count = len(index)
    flip = torch.rand(count, generator=generator, device=device) < (0.5 if config.flip else 0.0)
    offset = torch.randint(0, 2 * CROP_PADDING + 1, (count, 2), generator=generator, device=device)
    if not config.crop:
        offset = torch.full_like(offset, CROP_PADDING)
    noise = torch.rand(count, state.model.num_patches, generator=generator, device=device)
    return index, flip, offset, noise


def _mix(seed: int, index: int, salt: int = 0) -> int:
    """A 63-bit seed for (seed, index, salt), spread so that neighbours share no low bits (splitmix64's finaliser)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + salt * 0x94D049BB133111EB + 1) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 1


def _update(train_step, optimizer, fabric, state: State, images: Tensor, batch: Sequence[Tensor]) -> tuple:
    """One optimizer step at the state's learning rate; the loss and the gradient's norm, still on the device."""
    for group in optimizer.param_groups:
        group["lr"] = state.lr
    optimizer.zero_grad(set_to_none=True)
    loss = train_step(images, *batch)
    fabric.backward(loss)
    norm = fabric.clip_gradients(train_step, optimizer, max_norm=state.config.clip, error_if_nonfinite=False)
    optimizer.step()
    return loss, norm


def _validate(state: State, images: Tensor, fabric, tell: "_Teller") -> None:
    """Masked MSE on the held-out part, in the training precision, as a new row of the history."""
    with fabric.autocast():
        scores = evaluate_model(state.model, images, ratio=state.config.ratio, mask_seed=MASK_SEED, include_ssim=False)
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


# ---- saving and resuming ---------------------------------------------------------------------------------------------


def _save(state: State, optimizer: torch.optim.Optimizer, dataset: Dataset, fabric) -> None:
    """Best weights where the last validation was the best so far, history, and everything to resume."""
    if state.run is None or not fabric.is_global_zero:
        return
    sections = {"dataset": {"name": dataset.source or dataset.name}, "train": _plain_config(state.config)}
    validated_now = bool(state.history) and state.history[-1]["step"] == state.step
    if validated_now and state.history[-1]["masked_mse"] < state.best_mse:
        state.best_mse = state.history[-1]["masked_mse"]
        checkpoints.save_checkpoint(state.model, state.run, make_card(state, dataset), sections)
    elif not (state.run / checkpoints.CONFIG).is_file():  # interrupted before the first validation
        checkpoints.save_checkpoint(state.model, state.run, make_card(state, dataset), sections)
    if state.history:
        checkpoints.write_text(state.run / checkpoints.HISTORY, history_csv(state.history))
    save_last(state, optimizer)


def _plain_config(config: TrainConfig) -> dict:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def make_card(state: State, dataset: Dataset) -> dict:
    """What card.json says of the weights of this moment."""
    card = {
        "name": state.run.name,
        "model": state.model.name,
        "dataset": dataset.name,
        "parameters": sum(p.numel() for p in state.model.parameters()),
        "images_seen": state.images_seen,
        "epochs": round(state.epoch, 3),
        "planned_epochs": state.config.epochs,
        "seconds": round(state.seconds),
        "device": state.device,
        "precision": state.precision,
        "torch": torch.__version__,
        "metrics": {},
    }
    if state.history:
        row = state.history[-1]
        card["metrics"]["validation"] = {
            "masked_mse": row["masked_mse"],
            "masked_psnr": row["masked_psnr"],
            "mask_seed": MASK_SEED,
            "ratio": state.config.ratio,
            "split": "held out of train",
        }
    return card


def history_csv(history: list[dict]) -> str:
    """The history as CSV text, a header and a row for each validation."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def read_history(run: str | Path) -> list[dict]:
    """A run's history.csv as rows of numbers; empty where there is none yet. Raises `UsageError` for another table."""
    path = Path(run) / checkpoints.HISTORY
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            table = csv.DictReader(file)
            rows = [{key: _number(value) for key, value in row.items()} for row in table]
        if not {"step", "masked_mse", "masked_psnr"} <= set(table.fieldnames or ()):
            raise ValueError(f"columns {table.fieldnames}")
    except (ValueError, AttributeError, csv.Error) as error:  # a short row's missing numbers are None
        raise UsageError(f"{str(path)!r} is damaged or no history of a run: restore it, or remove it.") from error
    return rows


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def save_last(state: State, optimizer: torch.optim.Optimizer) -> None:
    """Everything a resumed run needs, in one file, so that its parts always belong together."""
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    progress = {"step": state.step, "total_steps": state.total_steps, "seconds": state.seconds}
    metadata = {key: repr(value) for key, value in (progress | {"best_mse": state.best_mse}).items()}
    checkpoints.write_tensors(state.run / LAST / STATE, tensors, metadata | {"data": state.data})


def load_last(state: State, optimizer: torch.optim.Optimizer) -> None:
    """Put a fresh model, optimizer and state where the run stopped.

    Raises:
        UsageError: there is nothing, a part is missing, or it is of another model or other data.
    """
    path = state.run / LAST / STATE
    tensors, metadata = checkpoints.read_tensors(path), checkpoints.read_metadata(path)
    if metadata.get("data") not in (None, state.data):
        raise UsageError(
            f"The run was trained on {metadata['data']}; the dataset now holds {state.data}: give it back its own data."
        )
    try:
        model = {name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")}
        state.model.load_state_dict(model)
        for name, parameter in state.model.named_parameters():
            if not parameter.requires_grad:  # a part that came trained
                continue
            slots = {key: tensors[f"optimizer.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {key: _beside(key, slot, parameter) for key, slot in slots.items()}
        state.step, state.seconds = int(metadata["step"]), float(metadata["seconds"])
        state.best_mse = float(metadata["best_mse"])
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["rng.cuda"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{str(path)!r} is incomplete or does not belong to this model: {error}") from error
    state.history = [row for row in read_history(state.run) if row["step"] <= state.step]


def _beside(key: str, value: Tensor, parameter: Tensor) -> Tensor:
    """An optimizer slot where the optimizer wants it: moments (and fused AdamW's step) beside the parameter."""
    if key != "step" and value.shape != parameter.shape:
        raise ValueError(f"{key} is of shape {tuple(value.shape)} instead of {tuple(parameter.shape)}")
    return value.to(parameter.device) if key != "step" or parameter.device.type == "cuda" else value


# ---- bookkeeping -----------------------------------------------------------------------------------------------------


class _Teller:
    """Calls every callback in turn."""

    def __init__(self, callbacks: Sequence[Callback]):
        self.callbacks = callbacks

    @contextlib.contextmanager
    def until_the_end(self, state: State) -> Iterator[None]:
        """Start, and end however the run ends: a progress bar must give the terminal back."""
        self.on_start(state)
        try:
            yield
        finally:
            self.on_end(state)

    def __getattr__(self, event: str):
        def call(state: State) -> None:
            for callback in self.callbacks:
                getattr(callback, event)(state)

        return call


class _Meter:
    """Sums losses on the device and times the loop, so that only `read` waits: for the device, and other processes."""

    def __init__(self, state: State, fabric):
        self.state, self.fabric, self.epoch_order = state, fabric, None
        self.loss = torch.zeros((), device=fabric.device)
        self.norm = torch.zeros((), device=fabric.device)
        self.steps = 0
        self.since = time.perf_counter()

    def add(self, loss: Tensor, norm: Tensor | None) -> None:
        self.loss += loss.detach()
        if norm is not None:
            self.norm += norm.detach()
        self.steps += 1

    def read(self) -> None:
        if self.steps == 0:
            return
        sums = self.fabric.all_reduce(torch.stack([self.loss, self.norm]), reduce_op="mean")
        loss, norm = sums.tolist()  # one wait for both
        elapsed = time.perf_counter() - self.since
        state = self.state
        state.seconds += elapsed
        state.train_loss, state.gradient_norm = loss / self.steps, norm / self.steps
        state.images_per_second = self.steps * state.config.batch_size / elapsed
        self.loss.zero_(), self.norm.zero_()
        self.steps, self.since = 0, time.perf_counter()
        if not math.isfinite(loss):
            kept = f" The best weights so far are in {str(state.run)!r}." if state.run and state.history else ""
            raise UsageError(
                f"The loss is no longer finite at step {state.step}: lower train.lr or model.step_size.{kept}"
            )

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside does not count as training."""
        yield
        self.since = time.perf_counter()


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that a step is never cut in half; a second Ctrl-C interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield event
        return

    def on_signal(signum, frame):
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _asked_to_stop(interrupted: threading.Event, fabric, log: bool) -> bool:
    """Whether Ctrl-C reached any process. Several must stop after the same step: they ask one another at each log."""
    if fabric.world_size == 1:
        return interrupted.is_set()
    if not log:
        return False
    asked = torch.tensor(float(interrupted.is_set()), device=fabric.device)
    return fabric.all_reduce(asked, reduce_op="sum").item() > 0


def train_config(options: dict) -> TrainConfig:
    """A `TrainConfig` from a mapping. Raises `UsageError` for an option it does not have."""
    known = {f.name for f in fields(TrainConfig)}
    for option in options:
        if option not in known:
            raise UsageError(f"There is no option train.{option}{checkpoints.suggestion(option, known)}.")
    return TrainConfig(**options)
