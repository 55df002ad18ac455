"""A training seen from a notebook: the curves of a run as it is written, and of one that trains in this very kernel."""

import base64
import os
import threading

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
    """The curves of a run, drawn anew when its history grows; it ends by itself with the run.

    A thread looks at the run's history.csv, so that the curves move while a cell of the same notebook trains. In a
    saved notebook the curves of the moment stand in.

    Args:
        run: a run's folder, or a shipped checkpoint's name.
        every: seconds between two looks.

    Raises:
        UsageError: there is no such run.
    """

    def __init__(self, run: str | os.PathLike, every: float = 2.0):
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(every,), daemon=True)
        self.run = str(run)
        self.shipped = self.run in list_checkpoints()
        if not os.path.isdir(self.run):
            find_checkpoint(self.run)  # says what is missing
        self.picture, self.line = ipywidgets.Image(format="png"), ipywidgets.Label()
        self.rows = -1
        super().__init__([self.line, self.picture])
        if not self.refresh():
            self._thread.start()

    def refresh(self) -> bool:
        """Look once, and draw what is new. Returns whether the run has come to its end."""
        found = read_run(self.run, self.run, self.shipped)
        rows = len(found["curves"]["epoch"])
        if rows > self.rows and rows > 0:
            show_figure(self.picture, training_curves(self._history()))
        self.rows = max(rows, self.rows)
        self.line.value = found["problem"] or describe(found)
        return found["state"] != "running"

    def _history(self) -> list[dict]:
        """Of a run that may have no weights yet."""
        return load_history(self.run) if self.shipped else read_history(self.run)

    def stop(self) -> None:
        """Stop looking; the last curves stay."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self) -> None:
        """Stop looking, and take the widget away."""
        self.stop()
        super().close()

    def _watch(self, every: float) -> None:
        while not self._stopped.wait(every):
            try:
                if self.refresh():
                    return
            except UsageError as error:  # written anew at this moment, moved or deleted
                self.line.value = str(error)

    def __repr__(self) -> str:
        return f"TrainingMonitor: {self.run}, {self.line.value}"

    def _repr_mimebundle_(self, **kwargs) -> dict:
        data = super()._repr_mimebundle_(**kwargs)
        still = {"image/png": base64.b64encode(self.picture.value).decode()} if self.picture.value else {}
        return data | still


def describe(found: dict) -> str:
    """One line about what `read_run` found."""
    epochs, psnr = found["curves"]["epoch"], found["curves"]["masked_psnr"]
    planned = found["facts"].get("planned_epochs")
    if not epochs:
        return f"{found['state']}: no validation yet"
    of = f" of {planned:g}" if planned else ""
    return f"{found['state']}: epoch {epochs[-1]:.2f}{of}, validation masked PSNR {psnr[-1]:.2f} dB"


def show_figure(picture: ipywidgets.Image, figure: Figure) -> None:
    """Put a figure into an image widget, sharp on dense screens."""
    picture.value = figure_bytes(figure, DPI)
    picture.width = str(round(CSS_DPI * figure.get_size_inches()[0]))


class NotebookProgress(Callback):
    """For `etviz.training.fit` in a notebook: a progress bar, and the curves so far, which stay when it is saved.

    In a terminal, use `etviz.training.ProgressBar`.
    """

    def on_start(self, state: State) -> None:
        from IPython.display import display

        self.bar = ipywidgets.IntProgress(max=state.total_steps, layout={"width": "320px"})
        self.line = ipywidgets.Label()
        self.head = display(ipywidgets.HBox([self.bar, self.line]), display_id=True)
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

        self.head.update(Pretty(f"{progress_line(state)}, {state.seconds:.0f} s"))
        self.bar.close()
        self.line.close()


def progress_line(state: State) -> str:
    """Where a training is, in words."""
    parts = [f"epoch {state.epoch:.2f} of {state.config.epochs}", f"loss {state.train_loss:.3f}"]
    if state.history:
        parts.append(f"validation {state.history[-1]['masked_psnr']:.2f} dB")
    return ", ".join([*parts, f"{state.images_per_second:,.0f} images/s"])
