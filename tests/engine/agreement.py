"""How far two answers are apart: Python's, and that of the page's own engine."""

import base64
import json
import math
from collections.abc import Iterator

import numpy as np

PICTURES = ("image", "frame", "frames", "patches")  # bytes, in base64
NUMBERS = (
    "attention",
    "hopfield",
    "as_query",
    "as_key",
    "entropy",
    "energy",
    "frequency",
)  # float32, where they are in base64
ELSEWHERE = ("milliseconds",)  # no two runs agree
STILL = 1e-6  # a share of the energy; a smaller change is no more than float32's own
UNSTEADY = {  # beyond a relative difference, for what is itself a small difference of large numbers
    "barrier": 2e-4,  # a share of the energy that a descent loses
    "ssim": 1e-4,  # of at most 1: where a picture is flat, float32 leaves some of it to chance
}


def disagreements(ours: object, theirs: object, relative: float = 1e-4) -> list[str]:
    """What differs by more than float32 may: numbers by a share of the largest in their list, frames by 1 of 255."""
    return list(_apart("", json.loads(json.dumps(ours)), theirs, relative))


def _apart(place: str, ours: object, theirs: object, relative: float) -> Iterator[str]:
    name = _name(place)
    if name in ELSEWHERE or ours == theirs:
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            yield f"{place}: {sorted(ours)}, and {sorted(theirs)}"
        for key in ours.keys() & theirs.keys() - {"rises"}:
            yield from _apart(f"{place}.{key}", ours[key], theirs[key], relative)
        yield from _rises(place, ours, theirs)
    elif _is_numbers(ours) and _is_numbers(theirs):
        yield from _numbers(place, _array(ours), _array(theirs), relative)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from _apart(f"{place}[{index}]", *pair, relative)
    elif isinstance(ours, str) and isinstance(theirs, str) and name in NUMBERS:
        yield from _numbers(place, _floats(ours), _floats(theirs), relative)
    elif isinstance(ours, str) and isinstance(theirs, str) and name in PICTURES:
        yield from _pictures(place, _bytes(ours), _bytes(theirs))
    else:
        yield f"{place}: {ours!r}, and {theirs!r}"


def _rises(place: str, ours: dict, theirs: dict) -> Iterator[str]:
    """The steps that raised the energy: where it stands still, float32 leaves to chance whether it rises or falls."""
    steps = set(ours.get("rises") or ()) ^ set(theirs.get("rises") or ())
    energy = _array(ours.get("energy") or [])
    clear = [step for step in steps if abs(energy[step] - energy[step - 1]) > STILL * np.nanmax(np.abs(energy))]
    if clear:
        yield f"{place}.rises: the hosts disagree about steps {sorted(clear)}"


def _name(place: str) -> str:
    """The field that a place lies in, as "frames" in ".epochs[2].frames"."""
    return place.rsplit(".", maxsplit=1)[-1].split("[", maxsplit=1)[0]


def _is_numbers(value: object) -> bool:
    """A number, or a list of some; null stands for what is not finite."""
    if isinstance(value, list):
        return bool(value) and all(not isinstance(item, list) and _is_numbers(item) for item in value)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _array(value: object) -> np.ndarray:
    return np.array([math.nan if item is None else item for item in (value if isinstance(value, list) else [value])])


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).astype(int)


def _floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def _pictures(place: str, ours: np.ndarray, theirs: np.ndarray) -> Iterator[str]:
    if ours.shape != theirs.shape:
        yield f"{place}: {ours.size} and {theirs.size} bytes"
    elif ours.size and np.abs(ours - theirs).max() > 1:
        yield f"{place}: pictures differ by {np.abs(ours - theirs).max()} of 255"


def _numbers(place: str, ours: np.ndarray, theirs: np.ndarray, relative: float) -> Iterator[str]:
    if ours.shape != theirs.shape:
        yield f"{place}: {ours.size} and {theirs.size} numbers"
        return
    known = np.isfinite(ours)
    if (known != np.isfinite(theirs)).any():
        yield f"{place}: finite in different places"
    elif known.any():
        apart = np.abs(ours - theirs)[known].max()
        allowed = max(relative * np.abs(ours[known]).max(), UNSTEADY.get(_name(place), 1e-7))
        if apart > allowed:
            yield f"{place}: apart by {apart:.2g} of {np.abs(ours[known]).max():.3g}"
