"""python -m etviz.restore IN OUT [--mask MASK.png] [--force] [checkpoint=et-cifar10] [noise=0.1]

Rebuilds what is missing of a picture of any size: where a mask is white or transparent, and where the picture itself
is transparent. Given pixels stay as they are. IN may be a folder: every picture in it is restored to a PNG of its name
under the folder OUT, by the mask of its name under the folder MASK. With noise=0.1 pictures are denoised instead.

Pictures are written opaque, with 8 bits a channel and their colour profile; as JPEG they lose a little everywhere.

The paths written go to stdout. No file is replaced without --force. --help lists every option.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import etviz
from etviz.commands import HELP_FLAGS, is_name, load_options, run
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.files import make_folder
from etviz.models import MaskedImageModel
from etviz.options import Count, Name, Options, Positive, Whole, option
from etviz.pictures import (
    IMAGE_SUFFIXES,
    Picture,
    check_suffix,
    no_pictures,
    picture_paths,
    read_image,
    read_mask,
    write_image,
)
from etviz.restoration import check_model, denoise_image, restore_image

PLACES: tuple[str, ...] = ("input", "output")  # what names without key= stand for, in this order
SIGNS = {"input": "IN", "output": "OUT"}
VALUES, FLAGS = ("--mask", "--checkpoint"), ("--force",)


@dataclass(frozen=True, kw_only=True)
class RestoreOptions(Options):
    """python -m etviz.restore photo.png restored.png --mask mask.png
    python -m etviz.restore photos restored --mask masks
    Rebuilds what is missing of a picture of any size, or of every picture in a folder.
    """

    input: Path = option(text="a picture, or a folder of pictures; or the first name without input=")
    output: Name = option(text="a picture to write, or a folder; or the second name without output=")
    mask: Path | None = option(
        None,
        "white or transparent where missing, of the picture's size; for a folder, a folder with masks of the same "
        "names. What is transparent in the picture itself is missing too",
    )
    noise: Positive | None = option(
        None, "denoise instead: standard deviation of the noise, of a range of 0 to 1; 25/255 is 0.098"
    )
    checkpoint: Name = option("et-cifar10", "a name under checkpoints/, a run folder, or its model.safetensors")
    overlap: Whole | None = option(
        None, "pixels that neighbouring windows share; half a window where null, and more is smoother and slower"
    )
    steps: Whole | None = option(None, "of the descent; the model's own where null, as for the next")
    step_size: Positive | None = option(None, "alpha")
    batch_size: Count = option(64, "windows at once; changes memory and speed")
    rounds: Count = option(4, "how often each patch is predicted in denoising")
    seed: Whole = option(0, "of the masks in denoising")
    device: str = option("auto", "cpu, cuda, mps")
    force: bool = option(False, "replace pictures that are there already; or --force")


@dataclass(frozen=True)
class Job:
    """One picture to restore."""

    source: Path
    target: Path
    mask: Path | None


def main(argv: list[str]) -> None:
    """Restore what ``argv`` names; see the module's own text."""
    asked = read_options(argv)
    options = restoring_options(asked)
    jobs = find_jobs(asked)
    check_targets(jobs, asked.force)
    model = etviz.load_model(asked.checkpoint).to(pick_device(asked.device))
    check_model(model)
    for folder in {job.target.parent for job in jobs}:
        make_folder(folder)
    with _progress_bar() as bar:
        failed = [error for job in jobs for error in attempt(job, model, options, bar)]
    if len(jobs) == 1 and failed:
        raise failed[0]
    for error in failed:
        print(f"error: {error}", file=sys.stderr)
    if failed:
        raise UsageError(f"{len(failed)} of {len(jobs)} pictures could not be restored, the others are.")


def attempt(job: Job, model: MaskedImageModel, options: dict, bar: Progress) -> Iterator[UsageError]:
    """Restore one picture and print where it is; gives the error where it cannot be, so that others go on."""
    task = bar.add_task(job.source.name, total=None)
    try:
        picture = read_image(job.source)
        show = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731 - one line
        image = restored(job, picture, model, options | {"progress": show})
        write_image(job.target, image, grey=picture.grey, profile=picture.profile)
        print(job.target)
    except UsageError as error:
        yield error
    finally:
        bar.remove_task(task)


def restored(job: Job, picture: Picture, model: MaskedImageModel, options: dict):
    """The picture rebuilt, or denoised where the options give a noise. (3, H, W) in [0, 1]."""
    if "noise" in options:
        return denoise_image(model, picture.image, **options).clamp(0, 1)
    missing = picture.transparent
    if job.mask is not None:
        mask = read_mask(job.mask)
        if mask.shape != missing.shape:
            sizes = [f"{width}x{height}" for height, width in (mask.shape, missing.shape)]
            raise UsageError(
                f"The mask {str(job.mask)!r} is of {sizes[0]} pixels, and {job.source.name} of {sizes[1]}."
            )
        missing = missing | mask
    if not missing.any():
        advice = "give a mask that is white there" if job.mask is None else "make the mask white there"
        raise UsageError(f"Nothing of {str(job.source)!r} is marked as missing: {advice}.")
    try:
        return restore_image(model, picture.image, missing, **options)
    except UsageError as error:
        raise UsageError(f"{str(job.source)!r} cannot be restored: {error}") from error


# ---- options -----------------------------------------------------------------------------------------------------


def read_options(argv: list[str]) -> RestoreOptions:
    """The options, of which input, output, mask and force may be written as programs of this kind have them.

    Raises:
        UsageError: more names than input and output, or fewer; an option without its value; and what `load_options`
            raises.
    """
    options, names, given, rest = [], [], {}, list(argv)
    while rest:
        argument = rest.pop(0)
        sign, equals, value = argument.partition("=")
        if sign in VALUES:
            if not equals and not rest:
                raise UsageError(f"{argument} takes a name: {argument} NAME.")
            given[sign[2:]] = value if equals else rest.pop(0)
        elif argument in FLAGS:
            options.append(f"{argument[2:]}=true")
        elif is_name(argument):
            names.append(argument)
        else:
            options.append(argument)
    free = [place for place in PLACES if not any(option.startswith(f"{place}=") for option in options)]
    if len(names) > len(free):
        raise UsageError(f"There is one name too many, {names[len(free)]!r}: it takes IN and OUT, and --mask MASK.")
    if len(names) < len(free) and not any(flag in options for flag in HELP_FLAGS):
        lacking = " and ".join(SIGNS[place] for place in free[len(names) :])
        raise UsageError(f"What is {lacking}? Name both: python -m etviz.restore IN OUT --mask MASK.png.")
    return load_options(RestoreOptions, options, given | dict(zip(free, names, strict=False)))


def restoring_options(asked: RestoreOptions) -> dict:
    """What `restore_image` takes, or `denoise_image` where a noise is given; those not given are its own defaults."""
    given = {"overlap": asked.overlap, "steps": asked.steps, "step_size": asked.step_size}
    options = {name: value for name, value in given.items() if value is not None} | {"batch_size": asked.batch_size}
    if asked.noise is None:
        return options
    if asked.mask is not None:
        raise UsageError("Pictures are either completed by a mask or denoised: leave out mask or noise.")
    return options | {"noise": asked.noise, "seed": asked.seed, "rounds": asked.rounds}


def find_jobs(asked: RestoreOptions) -> list[Job]:
    """A job for each picture that is asked for.

    Raises:
        UsageError: there is none, two would be written to one file, or a mask or a kind of file that there is not.
    """
    source, mask = asked.input, asked.mask
    target = Path(os.path.expanduser(asked.output))
    if source.is_dir():
        return _jobs_of_folder(source, target, mask)
    if not source.is_file():
        raise UsageError(f"There is no picture {str(source)!r}.")
    if target.is_dir() or asked.output.endswith("/"):
        target = target / f"{source.stem}.png"
    check_suffix(target)
    if mask is not None and not mask.is_file():
        raise UsageError(f"There is no mask {str(mask)!r}: name a picture, white where pixels are missing.")
    return [Job(source, target, mask)]


def _jobs_of_folder(source: Path, target: Path, masks: Path | None) -> list[Job]:
    if target.is_file():
        raise UsageError(f"{str(target)!r} is a file: a folder of pictures is restored to a folder.")
    if target.resolve() == source.resolve() or source.resolve() in target.resolve().parents:
        raise UsageError(f"{str(target)!r} lies in the folder to restore: choose a folder beside it.")
    if masks is not None and not masks.is_dir():
        raise UsageError(f"{str(masks)!r} is no folder: for a folder of pictures, a folder of masks with their names.")
    found = picture_paths(source)
    if not found:
        raise no_pictures(source)
    jobs = []
    for path in found:
        name = path.relative_to(source).with_suffix("")
        jobs.append(Job(path, target / f"{name}.png", None if masks is None else _mask_of(name, masks)))
    by_target = {}
    for job in jobs:
        other = by_target.setdefault(job.target, job)
        if other is not job:
            raise UsageError(f"{other.source.name!r} and {job.source.name!r} would both become {job.target.name!r}.")
    return jobs


def _mask_of(name: Path, masks: Path) -> Path | None:
    """The mask of that name and any suffix; None where there is none, since the picture's transparency may say it."""
    candidates = (masks / f"{name}{suffix}" for suffix in sorted(IMAGE_SUFFIXES))
    return next((path for path in candidates if path.is_file()), None)


def check_targets(jobs: list[Job], force: bool) -> None:
    """Raise `UsageError` where a file would be replaced, unless that is wished, before anything is computed."""
    there = [job.target for job in jobs if job.target.exists()]
    if there and not force:
        others = len(there) - 1
        more = f", and so {'is' if others == 1 else 'are'} {others} more" if others else ""
        raise UsageError(f"{str(there[0])!r} is there already{more}: choose another name, or replace it by --force.")


def _progress_bar() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("windows, left")
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    run(main)
