"""Options checked by their annotations: one check of kind, range and finiteness for models, recipes and commands."""

import difflib
import inspect
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple

from etviz.errors import UsageError

KINDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a word"}


class Bound(NamedTuple):
    """A limit on a number, as metadata of `typing.Annotated`: what an error calls it, and the test."""

    words: str
    holds: Callable[[float], bool]


def at_least(least: float) -> Bound:
    """``least`` or more."""
    return Bound(f"at least {least:,}", lambda value: value >= least)


def at_most(most: float) -> Bound:
    """``most`` or less."""
    return Bound(f"at most {most:,}", lambda value: value <= most)


ABOVE_0 = Bound("above 0", lambda value: value > 0)
BELOW_1 = Bound("below 1", lambda value: value < 1)

Count = Annotated[int, at_least(1), at_most(2**63 - 1)]
Whole = Annotated[int, at_least(0), at_most(2**63 - 1)]  # what PyTorch takes for a seed, among others
Size = Annotated[int, at_least(1), at_most(2**16)]  # of one axis of an image or a weight
Depth = Annotated[int, at_least(1), at_most(1000)]
Ratio = Annotated[float, at_least(0), at_most(2**16)]  # of one size to another
Positive = Annotated[float, ABOVE_0]
Share = Annotated[float, at_least(0), BELOW_1]
NonNegative = Annotated[float, at_least(0)]


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
        annotation: bool, int, float, str, None, ``Literal``, a tuple or union of these, ``Annotated`` with `Bound`s,
            or any other class, whose instances are left alone.

    Raises:
        UsageError: another kind, not finite, or outside its bounds.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _bounded(name, check_option(name, value, arguments[0]), arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return _any_of(name, value, arguments)
    if origin is Literal:
        return _one_of(name, value, arguments)
    if origin is tuple:
        return _tuple(name, value, arguments)
    if annotation not in KINDS:
        return _instance(name, value, annotation)
    if not _is_a(annotation, value):
        raise UsageError(f"{name} must be {KINDS[annotation]}, not {reprlib.repr(value)}.")
    return annotation(value)


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
    return isinstance(value, {int: Integral, str: str}[kind])


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _bounded(name: str, value: Any, bounds: tuple[Bound, ...]) -> Any:
    for bound in bounds:
        if not bound.holds(value):
            raise UsageError(f"{name} must be {bound.words}, not {reprlib.repr(value)}.")
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
        raise UsageError(f"{name} must be one of {words}, not {reprlib.repr(value)}.")
    return value


def _tuple(name: str, value: Any, annotations: tuple) -> tuple:
    """Any sequence but a text; ``...`` stands for any length."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise UsageError(f"{name} must be a list of numbers, not {reprlib.repr(value)}.")
    values = list(value)
    kinds = [annotations[0]] * len(values) if annotations[-1] is ... else annotations
    if len(values) != len(kinds):
        raise UsageError(f"{name} must be a list of {len(kinds)} numbers, not {reprlib.repr(values)}.")
    return tuple(check_option(f"{name}[{i}]", v, kind) for i, (v, kind) in enumerate(zip(values, kinds, strict=True)))
