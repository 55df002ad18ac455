"""A training in a notebook: the curves of a run that is being written, and of one that trains in this kernel."""

import base64
import os
import threading
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from etviz.checkpoints import find_checkpoint, list_checkpoints, load_history, read_history
from etviz.errors import UsageError
from etviz.plots.style import figure_bytes
from etviz.plots.training import training_curves
from etviz.training import Callback, State
from etviz.ui.runs import read_run

DPI, CSS_DPI = 144, 96


class TrainingMonitor(ipywidgets.VBox):
    """The curves of a run, drawn again whenever its history grows, until the run ends.

    A thread reads the run's history.csv, so that the curves grow while a cell of the same notebook trains. A saved
    notebook shows the curves as they were.

    Args:
        run: the folder of a run, or the name of a shipped checkpoint.
        every: seconds between two readings.

    Raises:
        UsageError: there is no such run.
    """

    def __init__(self, run: str | os.PathLike, every: float = 2.0):
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(every,), daemon=True)
        self.run = str(run)
        self.shipped = self.run in list_checkpoints()
        if not os.path.isdir(self.run):
            find_checkpoint(self.run)  # raises an error that says what is missing
        self.picture, self.line = ipywidgets.Image(format="png"), ipywidgets.Label()
        self.rows = -1
        super().__init__([self.line, self.picture])
        if not self.refresh():
            self._thread.start()

    @property
    def watching(self) -> bool:
        """Whether the monitor still reads the run's history."""
        return self._thread.is_alive()

    def refresh(self) -> bool:
        """Read the history once and draw what is new. Returns whether the run has ended."""
        found = read_run(self.run, self.run, self.shipped)
        rows = len(found["curves"]["epoch"])
        if rows > self.rows and rows > 0:
            show_figure(self.picture, training_curves(self._history()))
        self.rows = max(rows, self.rows)
        self.line.value = found["problem"] or describe(found)
        return found["state"] != "running"

    def _history(self) -> list[dict]:
        """The history of a run, which may have no weights yet."""
        return load_history(self.run) if self.shipped else read_history(self.run)

    def stop(self) -> None:
        """Stop reading. The last curves stay."""
        self._stopped.set()
        if self.watching:
            self._thread.join()

    def close(self) -> None:
        """Stop reading, and remove the widget."""
        self.stop()
        super().close()

    def _watch(self, every: float) -> None:
        while not self._stopped.wait(every):
            try:
                if self.refresh():
                    return
            except UsageError as error:  # the run is being overwritten, or was moved or deleted
                self.line.value = str(error)

    def __repr__(self) -> str:
        return f"TrainingMonitor: {self.run}, {self.line.value}"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        data = super()._repr_mimebundle_(**kwargs) or {}
        still = {"image/png": base64.b64encode(self.picture.value).decode()} if self.picture.value else {}
        return data | still


def describe(found: dict) -> str:
    """The result of `read_run` in one line."""
    epochs, psnr = found["curves"]["epoch"], found["curves"]["masked_psnr"]
    planned = found["facts"].get("planned_epochs")
    if not epochs:
        return f"{found['state']}: no validation yet"
    of = f" of {planned:g}" if planned else ""
    return f"{found['state']}: epoch {epochs[-1]:.2f}{of}, validation masked PSNR {psnr[-1]:.2f} dB"


def show_figure(picture: ipywidgets.Image, figure: Figure) -> None:
    """Show a figure in an image widget, sharp on high-resolution screens."""
    picture.value = figure_bytes(figure, DPI)
    picture.width = str(round(CSS_DPI * figure.get_size_inches()[0]))


class NotebookProgress(Callback):
    """A callback of `etviz.training.fit` for notebooks: a progress bar and the curves so far.

    A saved notebook keeps the curves. In a terminal, use `etviz.training.ProgressBar`.
    """

    def on_start(self, state: State) -> None:
        from IPython.display import display

        self.bar = ipywidgets.IntProgress(max=state.total_steps, layout={"width": "320px"})
        self.line = ipywidgets.Label()
        self.head: Any = display(ipywidgets.HBox([self.bar, self.line]), display_id=True)
        self.curves = None
        self.on_log(state)

    def on_log(self, state: State) -> None:
        self.bar.value = state.step
        self.line.value = progress_line(state)

    def on_validation(self, state: State) -> None:
        from IPython.display import display

        self.on_log(state)
        figure = training_curves(state.history)
        if self.curves is None:
            self.curves = display(figure, display_id=True)
        else:
            self.curves.update(figure)

    def on_end(self, state: State) -> None:
        from IPython.display import Pretty

        if self.head is not None:
            self.head.update(Pretty(f"{progress_line(state)}, {state.seconds:.0f} s"))
        self.bar.close()
        self.line.close()


def progress_line(state: State) -> str:
    """How far a training has come, in one line."""
    parts = [f"epoch {state.epoch:.2f} of {state.config.epochs}", f"loss {state.train_loss:.3f}"]
    if state.history:
        parts.append(f"validation masked PSNR {state.history[-1]['masked_psnr']:.2f} dB")
    return ", ".join([*parts, f"{state.images_per_second:,.0f} images/s"])
