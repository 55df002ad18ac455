"""A training that is killed at any moment goes on as if it never had been, and leaves nothing behind."""

import contextlib
import multiprocessing
import random
import shutil
import time

import pytest
import torch

import etviz
from etviz import checkpoints, files
from etviz.training import LAST, STATE, TrainConfig, fit
from tests.conftest import TINY

CONFIG = dict(epochs=4, batch_size=8, lr=3e-3, validation_images=20, validate_every=0.1, snapshots=6, log_every=3)
CONFIG |= dict(accelerator="cpu", precision="32-true", ema=0.9, masks="mixture")


def processes():
    """Children are copies of a process that has imported all: each starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_survival"])
    return context


def train(archive: str, run, resume: bool, saving=None) -> None:
    """The whole training; ``saving`` is told of each file that is about to be written."""
    if saving is not None:
        write = files.write_bytes

        def telling(path, data):
            saving.send(path.name)
            write(path, data)

        files.write_bytes = checkpoints.write_bytes = telling
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fit(etviz.create_model("et", **TINY), etviz.load_dataset(archive), TrainConfig(**CONFIG), run, resume=resume)


def start_and_kill(archive: str, run, draw: random.Random) -> str:
    """Go on with the run in a process of its own, and kill it: at any time, or in the middle of a save.

    Returns:
        What it was about to write when it was killed last, empty where it was not saving, "done" where it finished.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    resume = (run / checkpoints.CONFIG).is_file()
    child = processes().Process(target=train, args=(archive, run, resume, theirs))
    child.start()
    theirs.close()
    name = ""
    if draw.random() < 0.5:
        with contextlib.suppress(EOFError):  # it finished
            for _ in range(draw.randrange(1, 12)):
                name = ours.recv()
        time.sleep(draw.random() * 0.003)
    else:
        child.join(draw.random() * 1.5)
    finished = child.exitcode == 0
    child.kill()
    child.join()
    return "done" if finished else name


def kills(archive: str, folder, count: int, seed: int) -> tuple[int, int]:
    """Kill trainings so often, and hold each that ends against one that was left alone: how many, and in a save."""
    straight, run, draw = folder / "straight", folder / "run", random.Random(seed)
    child = processes().Process(target=train, args=(archive, straight, False))
    child.start()
    child.join()
    whole = checkpoints.read_tensors(straight / LAST / STATE)
    killed = in_a_save = 0
    while killed < count:
        ended = start_and_kill(archive, run, draw)
        if ended != "done":
            killed += 1
            in_a_save += bool(ended)
            continue
        same(run, straight, whole)
        shutil.rmtree(run)
    finishing = processes().Process(target=train, args=(archive, run, (run / checkpoints.CONFIG).is_file()))
    finishing.start()
    finishing.join()
    assert finishing.exitcode == 0
    same(run, straight, whole)
    return killed, in_a_save


def same(run, straight, whole) -> None:
    """The run is bit for bit the one that was left alone, and holds no file more."""
    found = checkpoints.read_tensors(run / LAST / STATE)
    assert found.keys() == whole.keys()
    assert all(found[name].equal(whole[name]) for name in whole)
    assert (run / checkpoints.WEIGHTS).read_bytes() == (straight / checkpoints.WEIGHTS).read_bytes()
    rows = [checkpoints.read_history(folder) for folder in (run, straight)]
    assert [row["masked_mse"] for row in rows[0]] == [row["masked_mse"] for row in rows[1]]
    names = [sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) for folder in (run, straight)]
    assert names[0] == names[1]


@pytest.mark.slow
def test_a_few_kills(archive, tmp_path):
    killed, _ = kills(str(archive), tmp_path, 6, seed=0)
    assert killed == 6


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills(archive, tmp_path):
    start = time.monotonic()
    killed, in_a_save = kills(str(archive), tmp_path, 100, seed=1)
    print(f"{killed} kills, {in_a_save} of them in a save, in {time.monotonic() - start:.0f} s: all bit-equal")
