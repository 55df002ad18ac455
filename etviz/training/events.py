"""TensorBoard's files of a run that was stopped and resumed: one file, whatever happened in between."""

from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


def open_writer(folder: Path, step: int) -> SummaryWriter:
    """A writer that goes on after ``step``: what older files hold up to it is taken over, and they are removed."""
    older = sorted(folder.glob("events.out.tfevents.*"))
    writer = SummaryWriter(folder)
    known = set()
    for event in (event for path in older for event in _events(path)):
        names = {(event.step, value.tag) for value in event.summary.value}
        if names and event.step <= step and not names <= known:  # a merge that was killed left some of them twice
            known |= names
            writer._get_file_writer().add_event(event, event.step, event.wall_time)
    writer.flush()
    for path in older:
        path.unlink(missing_ok=True)
    return writer


def _events(path: Path) -> Iterator:
    """The events of a file, as far as it can be read: a process that was killed may have cut the last one."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return LegacyEventFileLoader(str(path)).Load()
