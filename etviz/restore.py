"""python -m etviz.restore IN OUT [--mask MASK.png] [--force] [checkpoint=et-cifar10] [noise=0.1]

Rebuilds what is missing of a picture of any size: where a mask is white or transparent, and where the picture itself
is transparent. Given pixels stay as they are. IN may be a folder: every picture in it is restored to a PNG of its name
under the folder OUT, by the mask of its name under the folder MASK, or by one mask for all. With noise=0.1 pictures are
denoised instead.

Pictures are written with 8 bits a channel and their colour profile; as JPEG they lose a little everywhere. What is
rebuilt is opaque; given pixels keep their transparency.

The paths written go to stdout. No file is replaced without --force. Everything after -- is a name, even one that looks
like an option. --help lists every option.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

import etviz
from etviz.commands import HELP_FLAGS, is_name, is_new_name, load_options, run, split_at_dashes
from etviz.devices import pick_device
from etviz.errors import UsageError
from etviz.files import make_folder
from etviz.models import MaskedImageModel
from etviz.options import Count, Name, Options, Positive, Whole, literal_path, option
from etviz.pictures import (
    OPAQUE,
    Picture,
    check_opacity,
    check_suffix,
    is_transparent,
    no_pictures,
    picture_paths,
    read_image,
    read_mask,
    write_image,
)
from etviz.restoration import check_area, check_model, denoise_image, restore_pixels

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
        "names, or one mask for all. What is transparent in the picture itself is missing too",
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
        pixels, opacity = restored(job, picture, model, options | {"progress": show})
        write_image(job.target, pixels, opacity=opacity, grey=picture.grey, profile=picture.profile)
        print(job.target)
    except UsageError as error:
        yield error
    finally:
        bar.remove_task(task)


def restored(job: Job, picture: Picture, model: MaskedImageModel, options: dict) -> tuple[Tensor, Tensor | None]:
    """The picture rebuilt, or denoised where the options give a noise.

    Returns:
        Pixels (3, H, W) uint8, and their opacity (H, W) uint8, or None where all are opaque.
    """
    if "noise" in options:
        check_area(picture.pixels[0].numel())
        found = denoise_image(model, picture.image, **options).clamp(0, 1)
        return (found * OPAQUE).round().to(torch.uint8), _opacity_to_keep(job, picture.opacity)
    missing = _missing(job, picture)
    opacity = None if picture.opacity is None else torch.where(missing, OPAQUE, picture.opacity)
    opacity = None if opacity is None or (opacity == OPAQUE).all() else _opacity_to_keep(job, opacity)
    try:
        return restore_pixels(model, picture.pixels, missing, **options), opacity
    except UsageError as error:
        raise UsageError(f"{str(job.source)!r} cannot be restored: {error}") from error


def _opacity_to_keep(job: Job, opacity: Tensor | None) -> Tensor | None:
    if opacity is not None:
        check_opacity(job.target)
    return opacity


def _missing(job: Job, picture: Picture) -> Tensor:
    """Which pixels (H, W) are missing: where the mask is white, and where either picture is transparent.

    Raises:
        UsageError: none or all of them, or a mask of another size.
    """
    missing = picture.transparent
    if job.mask is not None:
        mask = read_mask(job.mask)
        if mask.shape != missing.shape:
            sizes = [f"{width}x{height}" for height, width in (mask.shape, missing.shape)]
            raise UsageError(
                f"The mask {str(job.mask)!r} is of {sizes[0]} pixels, and {job.source.name} of {sizes[1]}."
            )
        if mask.all() and is_transparent(job.mask):
            raise UsageError(
                f"The mask {str(job.mask)!r} marks every pixel as missing, since what is transparent counts as "
                "missing, as white does: give it an opaque black background."
            )
        missing = missing | mask
    if not missing.any():
        advice = "give a mask that is white there" if job.mask is None else "make the mask white there"
        raise UsageError(f"Nothing of {str(job.source)!r} is marked as missing: {advice}.")
    return missing


# ---- options -----------------------------------------------------------------------------------------------------


def read_options(argv: list[str]) -> RestoreOptions:
    """The options, of which input, output, mask and force may be written as programs of this kind have them.

    A name with "=" in it is IN or OUT where it exists, or where one of these lacks and no option is called like it.

    Raises:
        UsageError: more names than input and output, or fewer; an option without its value; and what `load_options`
            raises.
    """
    argv, names_alone = split_at_dashes(argv)
    options, names, unsure, given, rest = [], [], [], {}, list(argv)
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
        elif is_new_name(argument, RestoreOptions):
            names.append(argument)
            unsure.append(argument)
        else:
            options.append(argument)
    names += names_alone
    free = [place for place in PLACES if not any(option.startswith(f"{place}=") for option in options)]
    if len(names) > len(free):
        names, options = [name for name in names if name not in unsure], options + unsure
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
    target = literal_path(asked.output)
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
    if masks is not None and not masks.exists():
        raise UsageError(f"There is no mask {str(masks)!r}: name a picture, or a folder of masks with the same names.")
    found = picture_paths(source, beside=masks if masks is not None and masks.is_dir() else None)
    if not found:
        raise no_pictures(source)
    mask_of = _masks(masks)
    jobs = []
    for path in found:
        name = path.relative_to(source).with_suffix("")
        jobs.append(Job(path, target / f"{name}.png", mask_of(name)))
    by_target = {}
    for job in jobs:
        other = by_target.setdefault(job.target, job)
        if other is not job:
            raise UsageError(f"{other.source.name!r} and {job.source.name!r} would both become {job.target.name!r}.")
    return jobs


def _masks(masks: Path | None) -> Callable[[Path], Path | None]:
    """What gives the mask of a picture's name: one for all, or that of the name in a folder, whatever its suffix.

    It gives None where there is none, since the picture's transparency may say what is missing. It raises `UsageError`
    where there are two.
    """
    if masks is None or not masks.is_dir():
        return lambda name: masks
    named: dict[Path, list[Path]] = {}
    for path in picture_paths(masks):
        named.setdefault(path.relative_to(masks).with_suffix(""), []).append(path)

    def mask_of(name: Path) -> Path | None:
        found = named.get(name, [None])
        if len(found) > 1:
            raise UsageError(f"{str(found[0])!r} and {str(found[1])!r} are both masks of {name}: remove one.")
        return found[0]

    return mask_of


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
