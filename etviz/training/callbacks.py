"""Callbacks that show a run: a progress bar in the terminal, curves and pictures in TensorBoard."""

import math

import torch
from torch import Tensor

from etviz.masks import mask_to_pixels, random_mask
from etviz.training.config import MASK_SEED
from etviz.training.state import Callback, State


class ProgressBar(Callback):
    """Steps done, images/s, time left, and the latest loss and validation PSNR, by rich (terminal or notebook)."""

    def on_start(self, state: State) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(  # fits into 80 columns
            TextColumn("epoch {task.fields[epoch]:.2f}/{task.fields[epochs]}"),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[speed]:,.0f} images/s"),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TextColumn("val {task.fields[psnr]:.2f} dB"),
            TimeRemainingColumn(),
            TextColumn("left"),
            speed_estimate_period=300,
        )
        self.task = self.bar.add_task("train", total=state.total_steps, **self._fields(state))
        self.bar.start()
        self.bar.update(self.task, completed=state.step)

    def on_log(self, state: State) -> None:
        self.bar.update(self.task, completed=state.step, **self._fields(state))

    on_validation = on_log

    def on_end(self, state: State) -> None:
        self.on_log(state)
        self.bar.stop()

    def _fields(self, state: State) -> dict:
        psnr = state.history[-1]["masked_psnr"] if state.history else math.nan
        return {
            "epoch": state.epoch,
            "epochs": state.config.epochs,
            "speed": state.images_per_second,
            "loss": state.train_loss,
            "psnr": psnr,
        }


class TensorBoard(Callback):
    """Scalars at every log and validation, and the same few validation images rebuilt each time."""

    def __init__(self, images: Tensor, ratio: float = 0.85):
        """images: (B, C, S, S) float in [0, 1], rebuilt under fixed masks."""
        self.images, self.ratio = images, ratio

    def on_start(self, state: State) -> None:
        from etviz.training.events import open_writer  # here, since TensorBoard takes a second to import

        self.writer = open_writer(state.folder, state.step)
        generator = torch.Generator().manual_seed(MASK_SEED)
        self.mask = random_mask(len(self.images), self.ratio, state.model.num_patches, generator)

    def on_log(self, state: State) -> None:
        self.writer.add_scalar("train/loss", state.train_loss, state.step)
        self.writer.add_scalar("train/gradient_norm", state.gradient_norm, state.step)
        self.writer.add_scalar("train/lr", state.lr, state.step)
        self.writer.add_scalar("train/images_per_second", state.images_per_second, state.step)

    def on_validation(self, state: State) -> None:
        row = state.history[-1]
        self.writer.add_scalar("validation/masked_mse", row["masked_mse"], state.step)
        self.writer.add_scalar("validation/masked_psnr", row["masked_psnr"], state.step)
        self.writer.add_image("validation/original_masked_rebuilt", self._picture(state), state.step)
        self.writer.flush()

    def on_end(self, state: State) -> None:
        self.writer.close()

    def _picture(self, state: State) -> Tensor:
        """Three rows, the images side by side: original, masked, rebuilt. (C, 3S, B * S)."""
        device = state.model.device
        images, mask = self.images.to(device), self.mask.to(device)
        state.shipped.eval()
        rebuilt = state.shipped.reconstruct(images, mask)
        state.model.train()
        masked = images.masked_fill(mask_to_pixels(mask, state.model.patch_size), 0.5)
        rows = [torch.cat(list(row), dim=2) for row in (images, masked, rebuilt)]
        return torch.cat(rows, dim=1).cpu()
