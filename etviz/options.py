"""Options checked by their annotations: one check of kind, range and finiteness for models, recipes and commands.

The options of a command are a dataclass, a subclass of `Options`. Its fields carry annotations, defaults and the text
that --help shows, so that each stands in one place.
"""

import dataclasses
import difflib
import functools
import inspect
import math
import os
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from etviz.errors import UsageError

KINDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a word", Path: "a path"}
UNIONS = (typing.Union, types.UnionType)
NONE = type(None)


class Bound(NamedTuple):
    """A limit on a value, as metadata of `typing.Annotated`: what an error calls it, and the test."""

    words: str
    holds: Callable[[Any], bool]


def at_least(least: float) -> Bound:
    """``least`` or more."""
    return Bound(f"at least {least:,}", lambda value: value >= least)


def at_most(most: float) -> Bound:
    """``most`` or less."""
    return Bound(f"at most {most:,}", lambda value: value <= most)


ABOVE_0 = Bound("above 0", lambda value: value > 0)
BELOW_1 = Bound("below 1", lambda value: value < 1)
NOT_EMPTY = Bound("a list of one or more", bool)

Count = Annotated[int, at_least(1), at_most(2**63 - 1)]
Whole = Annotated[int, at_least(0), at_most(2**63 - 1)]  # what PyTorch takes for a seed, among others
Size = Annotated[int, at_least(1), at_most(2**16)]  # of one axis of an image or a weight
Depth = Annotated[int, at_least(1), at_most(1000)]
Steps = Annotated[int, at_least(0), at_most(10_000)]  # of a model's own descent
Ratio = Annotated[float, at_least(0), at_most(2**16)]  # of one size to another
Positive = Annotated[float, ABOVE_0]
Share = Annotated[float, at_least(0), BELOW_1]
NonNegative = Annotated[float, at_least(0)]
Name = Annotated[str, Bound("a name", bool)]  # of a checkpoint, a dataset or a file: any text
Names = tuple[Name, ...]


# ---- the options of a command ------------------------------------------------------------------------------------


def option(default: Any = MISSING, text: str = "", *, names: tuple[str, ...] = ()) -> Any:
    """A field of a class of options.

    Args:
        default: nothing for an option that has to be given.
        text: what --help says of it.
        names: for a section that is a plain dict, the keys whose values are names, which are taken literally.
    """
    return dataclasses.field(default=default, metadata={"text": text, "names": names})


def section(kind: type) -> Any:
    """A field that holds a section of options, by default with their own defaults."""
    return dataclasses.field(default_factory=kind)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a command, or a section of them. The docstring of a subclass is how its --help begins.

    Raises:
        UsageError: an option that is not what its annotation says.
    """

    section: ClassVar[str] = ""  # what errors put before a name, as "data."
    groups: ClassVar[str] = ""  # the file under etviz/conf that says which group of files is chosen by default

    def __post_init__(self):
        for name, value in check_options(vars(self), annotations_of(type(self)), self.section).items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Where datasets are."""

    section: ClassVar[str] = "data."

    root: Path | None = option(None, "folder of datasets; ETVIZ_DATA, else ./data, where null")
    download: bool = option(True, "fetch CIFAR through torchvision where it is not found")


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(Options):
    """Where the weights of the networks behind LPIPS and FID are."""

    section: ClassVar[str] = "weights."

    root: Path | None = option(
        None, "folder of those networks' weights; ETVIZ_WEIGHTS where null, and torch hub's cache"
    )
    download: bool = option(False, "fetch them into torch hub's cache where they are not found: 90 to 530 MB each")


@functools.cache
def annotations_of(kind: type) -> dict[str, Any]:
    """The annotation of each field of a dataclass, with its bounds."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def as_dict(options: Any) -> dict[str, Any]:
    """The options of a command as JSON has them: nested, with paths as texts."""
    return {name: plain(getattr(options, name)) for name in annotations_of(type(options))}


def plain(value: Any) -> Any:
    """A value of an option as JSON and YAML have it."""
    if dataclasses.is_dataclass(value):
        return as_dict(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def is_section(annotation: Any) -> bool:
    """Whether an annotation is a dataclass, whose fields are options themselves."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def alternatives(annotation: Any) -> list[Any]:
    """The kinds that an annotation allows, without their bounds: ``Count | None`` -> [int, NoneType]."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return alternatives(arguments[0])
    if origin in UNIONS:
        return [kind for argument in arguments for kind in alternatives(argument)]
    return [annotation]


def is_text(annotation: Any) -> bool:
    """Whether texts or paths are all that an annotation allows, beside None."""
    return all(kind in (str, Path, NONE) for kind in alternatives(annotation))


def is_texts(annotation: Any) -> bool:
    """Whether lists of texts or paths are all that an annotation allows, beside None."""
    kinds = [kind for kind in alternatives(annotation) if kind is not NONE]
    return all(typing.get_origin(kind) is tuple and is_text(typing.get_args(kind)[0]) for kind in kinds)


# ---- checks ------------------------------------------------------------------------------------------------------


def check_options(options: Mapping[str, Any], annotations: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Every option as `check_option` returns it.

    Args:
        options: by name.
        annotations: by name, as ``typing.get_type_hints(..., include_extras=True)`` gives them.
        section: what errors put before the name, as "train.".

    Raises:
        UsageError: the first option that is not what its annotation says.
    """
    return {name: check_option(section + name, value, annotations[name]) for name, value in options.items()}


def constructor_options(kind: type, overrides: Mapping[str, Any], called: str) -> dict[str, Any]:
    """Every argument of a class's constructor with its value, each as its annotation says.

    Args:
        kind: a class whose arguments all have annotations and defaults.
        overrides: values in the place of defaults.
        called: what errors call the class.

    Raises:
        UsageError: no such argument, or a value that is not what the annotation says.
    """
    options = defaults(kind)
    for option in overrides:
        if option not in options:
            raise UsageError(f"{called} has no option {option!r}{suggestion(option, options)}.")
    return check_options({**options, **overrides}, typing.get_type_hints(kind.__init__, include_extras=True))


def defaults(kind: type) -> dict[str, Any]:
    """The arguments of a class's constructor and their defaults."""
    return {parameter.name: parameter.default for parameter in inspect.signature(kind).parameters.values()}


def suggestion(word: str, known: Iterable[str], there_are: str = "it has") -> str:
    """' (did you mean x?)' where something known is close, else a list of what there is."""
    known = list(known)
    close = difflib.get_close_matches(str(word), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f": {there_are} {', '.join(known)}"


def check_option(name: str, value: Any, annotation: Any) -> Any:
    """``value`` as plain Python of its annotation's kind: NumPy numbers and integers for floats are converted.

    Args:
        name: what errors call it.
        value: from outside, of any kind.
        annotation: bool, int, float, str, Path, None, ``Literal``, a tuple or union of these, ``Annotated`` with
            `Bound`s, a dataclass, which is made of a mapping, or any other class, whose instances are left alone.

    Raises:
        UsageError: another kind, not finite, or outside its bounds.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _bounded(name, check_option(name, value, arguments[0]), arguments[1:])
    checks = {typing.Union: _any_of, types.UnionType: _any_of, Literal: _one_of, tuple: _tuple}
    if origin in checks:
        return checks[origin](name, value, arguments)
    if is_section(annotation) and isinstance(value, Mapping):
        return from_mapping(annotation, value, f"{name}.")
    return _plain_kind(name, value, annotation) if annotation in KINDS else _instance(name, value, annotation)


def _plain_kind(name: str, value: Any, kind: type) -> Any:
    if not _is_a(kind, value):
        raise UsageError(f"{name} must be {KINDS[kind]}, not {_shown(value)}.")
    return literal_path(value) if kind is Path else kind(value)


def literal_path(name: str | os.PathLike) -> Path:
    """A path as it is written where that exists, else with a leading ~ read as the home folder."""
    return Path(name) if _exists(name) else Path(os.path.expanduser(name))


def _exists(name: str | os.PathLike) -> bool:
    try:
        return os.path.lexists(name)
    except (OSError, ValueError):  # too long, or a character that no name has
        return False


def from_mapping(kind: Any, values: Mapping[str, Any], section: str = "") -> Any:
    """A dataclass of options from a mapping. Raises `UsageError` for an option that it does not have."""
    for name in values:
        if name not in annotations_of(kind):
            raise UsageError(f"There is no option {section}{name}{suggestion(name, annotations_of(kind))}.")
    return kind(**values)


def _shown(value: Any) -> str:
    """A value as options are written: null, true and false, and lists in brackets."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return reprlib.repr(list(value) if isinstance(value, tuple) else value)


def _instance(name: str, value: Any, kind: type) -> Any:
    """Of any other class, or None where that is all there may be: as it is."""
    if not isinstance(value, kind):
        wanted = "null" if kind is type(None) else f"a {kind.__name__}"
        raise UsageError(f"{name} must be {wanted}, not a {type(value).__name__}.")
    return value


def _is_a(kind: type, value: Any) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and _is_finite(value)
    if kind is Path:
        return isinstance(value, (str, os.PathLike)) and value != ""
    return isinstance(value, {int: Integral, str: str}[kind])


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _bounded(name: str, value: Any, bounds: tuple[Bound, ...]) -> Any:
    for bound in bounds:
        if not bound.holds(value):
            raise UsageError(f"{name} must be {bound.words}, not {_shown(value)}.")
    return value


def _any_of(name: str, value: Any, annotations: tuple) -> Any:
    """The first annotation that fits; the first one's sentence where none does."""
    errors = []
    for annotation in annotations:
        try:
            return check_option(name, value, annotation)
        except UsageError as error:
            errors.append(error)
    raise errors[0]


def _one_of(name: str, value: Any, choices: tuple) -> Any:
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        words = ", ".join(str(choice).lower() for choice in choices)
        raise UsageError(f"{name} must be one of {words}, not {_shown(value)}.")
    return value


def _tuple(name: str, value: Any, annotations: tuple) -> tuple:
    """Any sequence but a text; ``...`` stands for any length."""
    items = "names" if is_text(annotations[0]) else "numbers"
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise UsageError(f"{name} must be a list of {items}, not {_shown(value)}.")
    values = list(value)
    kinds = [annotations[0]] * len(values) if annotations[-1] is ... else annotations
    if len(values) != len(kinds):
        raise UsageError(f"{name} must be a list of {len(kinds)} {items}, not {_shown(values)}.")
    return tuple(check_option(f"{name}[{i}]", v, kind) for i, (v, kind) in enumerate(zip(values, kinds, strict=True)))
