"""What the commands share: key=value options by Hydra's grammar, and errors that are one sentence.

A command is ``main(argv)``, called as ``run(main)`` under ``if __name__ == "__main__"``. Its options are a subclass of
`etviz.options.Options`, which holds their kinds, their defaults and what --help says of them.

Names and paths are taken literally: ``run=2024_01_15`` and ``json=a, b=c.json`` are what they look like.
"""

import difflib
import errno
import functools
import importlib.resources
import inspect
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import torch
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from etviz.errors import UsageError, handle_signals
from etviz.options import (
    NONE,
    Options,
    alternatives,
    annotations_of,
    from_mapping,
    is_section,
    is_text,
    is_texts,
    plain,
)

CONF = "etviz.conf"
NEEDED = "???"  # stands where an option has to be given, as in Hydra's files
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG)
HELP_FLAGS = ("--help", "-h")
YAML_OPTION = re.compile(r"(?P<indent> *)(?P<key>\w+):(?P<value>[^#]*)(?:#\s*(?P<doc>.*))?")

Kind = TypeVar("Kind", bound=Options)


def run(main: Callable[[list[str]], None]) -> None:
    """Call a command with the process's arguments: bad input ends in one sentence on stderr and exit status 2."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    handle_signals()
    try:
        main(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print("error: There is not enough memory for this: choose smaller sizes, as of the batch.", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read the output has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        place = f"{error.filename!r} " if error.filename else "A file "
        print(f"error: {place}cannot be read or written: {error.strerror}.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a class of its own for this on CUDA, but none on a CPU."""
    known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    return known or any(words in str(error) for words in ("allocate memory", "calculation overflowed"))


def load_options(kind: type[Kind], argv: Sequence[str], given: Mapping[str, Any] | None = None) -> Kind:
    """A command's options: the defaults, overridden by key=value arguments.

    Args:
        kind: the class of the options. Where it has ``groups``, a file is chosen from each of the folders under
            etviz/conf, as by ``dataset=cifar100``, and what the files say goes before the class's own defaults.
        argv: arguments; --help anywhere among them prints the options and exits.
        given: values that come from elsewhere, as from arguments without key=.

    Raises:
        UsageError: an option that does not exist, cannot be read, is not what its annotation says, or is missing.
        SystemExit: after --help.
    """
    if any(flag in argv for flag in HELP_FLAGS):
        print(describe_options(kind))
        sys.exit(0)
    arguments = [_split(argument) for argument in argv]
    groups = _groups() if kind.groups else {}
    values = _defaults(kind, [_parse(key, value) for key, value in arguments if key in groups])
    known = dict(_annotations(kind, values))
    literal = dict(given or {})
    for key, value in arguments:
        if key in groups:
            continue
        _check_known(key, known, groups)
        if is_text(known[key]) or is_texts(known[key]):
            literal[key] = _read_literally(key, value, known[key])
        else:
            _put(values, key, _parse(key, value).value())
    values = _resolved(values)
    for key, value in literal.items():
        _put(values, key, value)
    for key in known:
        if key not in literal and _get(values, key) == NEEDED:
            raise UsageError(f"{key} is needed: give {key}=VALUE.")
    return from_mapping(kind, values)


def load_named(kind: type[Kind], argv: Sequence[str], flags: Sequence[str] = (), key: str = "checkpoint") -> Kind:
    """The options of a command about checkpoints, which may be named without checkpoint=.

    Args:
        kind, argv: as `load_options` takes them.
        flags: as `split_names` takes them.
        key: the option that the names are for.

    Raises:
        UsageError: one is named twice, some are named both ways, or several where the option takes one; and what
            `load_options` raises.
    """
    names, options = split_names(argv, flags)
    if names and any(option.startswith(f"{key}=") for option in options):
        raise UsageError(f"Name checkpoints either as {key}=NAME or without it: {names[0]!r} is one too many.")
    several = is_texts(annotations_of(kind)[key])
    if len(names) > 1 and not several:
        raise UsageError(f"One checkpoint is taken at a time: {names[1]!r} is one too many.")
    check_named_once(names)
    found = load_options(kind, options, {key: names if several else names[0]} if names else None)
    if several:
        check_named_once(getattr(found, key))
    return found


def split_names(argv: Sequence[str], flags: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """The names among the arguments, and the options. What exists on disk is a name, even with "=" in it.

    Args:
        argv: arguments; those after -- are names, whatever they look like.
        flags: options that are true or false and may be written --NAME too.
    """
    argv, names_alone = split_at_dashes(argv)
    written = {f"--{flag}": f"{flag}=true" for flag in flags}
    names = [argument for argument in argv if is_name(argument)]
    options = [written.get(argument, argument) for argument in argv if not is_name(argument)]
    return names + names_alone, options


def split_at_dashes(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before --, and those after it, which are names."""
    before = list(argv).index("--") if "--" in argv else len(argv)
    return list(argv[:before]), list(argv[before + 1 :])


def is_name(argument: str) -> bool:
    """Whether an argument is no option: it has no "=" and no dash, or there is a file or folder called so."""
    return not argument.startswith("-") and ("=" not in argument or os.path.exists(argument))


def is_new_name(argument: str, kind: type[Options]) -> bool:
    """Whether an argument with "=" names a file that is still to be made: what is before "=" is like no option."""
    key = argument.partition("=")[0]
    known = annotations_of(kind)
    return not argument.startswith("-") and not difflib.get_close_matches(key, known, n=1)


def check_named_once(names: Sequence[str]) -> None:
    """Raise `UsageError` where several checkpoints are asked for and one of them twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"The checkpoint {twice!r} is named twice.")


def load_preset(group: str, name: str) -> dict:
    """What one file of a group says, as plain nested data. Raises `UsageError` where there is no such file."""
    choices = _groups()[group]
    if name not in choices:
        raise UsageError(f"There is no preset {name!r}: choose from {', '.join(choices)}.")
    return _compose(f"{group}/{name}", [])


def presets(group: str) -> list[str]:
    """The names of a group's files."""
    return _groups()[group]


# ---- reading arguments -------------------------------------------------------------------------------------------


def _split(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals or not key or argument.startswith(("-", "+", "~")):
        raise UsageError(f"Options are written key=value, not {argument!r}: --help lists them.")
    return key, value


def _parse(key: str, value: str) -> Override:
    """One key=value argument by Hydra's grammar."""
    try:
        override = OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException as error:
        raise _unreadable(key, value) from error
    if override.is_sweep_override():
        raise UsageError(f"{f'{key}={value}'!r} gives several values: write a list as {key}=[{value}].")
    return override


def _read_literally(key: str, value: str, annotation: Any) -> Any:
    """A name as it stands, or a list of them; null where the option may be null."""
    if value == "null" and NONE in alternatives(annotation) and not os.path.exists(value):
        return None
    if is_text(annotation):
        return value
    if os.path.exists(value) or (not value.startswith("[") and not value.endswith("]")):
        return [value]
    try:
        return _listed(value)
    except ValueError as error:
        raise _unreadable(key, value) from error


def _unreadable(key: str, value: str) -> UsageError:
    return UsageError(f"The value of {f'{key}={value}'!r} cannot be read: a bracket or a quote may be missing.")


def _listed(value: str) -> list[str]:
    """The names in "[a, 'b,c']". Raises `ValueError` where a bracket or a quote is missing."""
    if not (value.startswith("[") and value.endswith("]")):
        raise ValueError(value)
    reader = shlex.shlex(value[1:-1], posix=True)
    reader.whitespace, reader.whitespace_split = ",", True
    reader.commenters = reader.escape = ""
    return [name.strip() for name in reader]


def _resolved(values: dict) -> dict:
    """The values with what ${...} stands for."""
    try:
        return _plain(OmegaConf.create(values), resolve=True)
    except OmegaConfBaseException as error:
        raise UsageError(f"An option cannot be read: {str(error).splitlines()[0]}.") from error


def _plain(config: Any, resolve: bool = False) -> dict:
    """A configuration as nested dicts and lists."""
    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)  # as every file and every class of options is
    return values


def _get(values: dict, key: str) -> Any:
    return functools.reduce(lambda section, name: section[name], key.split("."), values)


def _put(values: dict, key: str, value: Any) -> None:
    *sections, name = key.split(".")
    functools.reduce(lambda section, part: section[part], sections, values)[name] = value


# ---- defaults and groups -----------------------------------------------------------------------------------------


def _defaults(kind: type[Options], choices: Sequence[Override]) -> dict:
    """The defaults of a class of options, and over them what the chosen files of its groups say."""
    own = _own_defaults(kind)
    if not kind.groups:
        return own
    return _plain(OmegaConf.merge(own, _compose(kind.groups, choices)))


def _own_defaults(kind: type) -> dict:
    """The defaults of a dataclass and its sections, as plain nested data."""
    found = {}
    for field in fields(kind):
        annotation = annotations_of(kind)[field.name]
        if is_section(annotation):
            found[field.name] = _own_defaults(annotation)
        elif annotation is dict:
            found[field.name] = {}
        else:
            found[field.name] = NEEDED if field.default is MISSING else plain(field.default)
    return found


def _annotations(kind: type, values: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, annotation) of every option. In a section that is a plain dict, any value goes but for names."""
    for field in fields(kind):
        annotation, name = annotations_of(kind)[field.name], prefix + field.name
        if is_section(annotation):
            yield from _annotations(annotation, values[field.name], f"{name}.")
        elif annotation is dict:
            names = field.metadata["names"]
            yield from ((f"{name}.{key}", str | None if key in names else Any) for key in values[field.name])
        else:
            yield name, annotation


def _compose(name: str, choices: Sequence[Override]) -> dict:
    """A file under etviz/conf with those that it chooses from groups, as plain nested data."""
    try:
        with initialize_config_module(CONF, version_base="1.3"):
            return _plain(compose(name, [choice.input_line or "" for choice in choices]))
    except MissingConfigException as error:
        raise UsageError(_missing_choice(error)) from error
    except (ConfigCompositionException, OmegaConfBaseException, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise UsageError(f"The options do not fit together: {first_line}") from error


def _missing_choice(error: MissingConfigException) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    own = f", or {group}=custom {group}.name=PATH for your own" if "custom" in options else ""
    return f"There is no {group} {choice!r}: choose one of {', '.join(options)}{own}."


def _groups() -> dict[str, list[str]]:
    """The folders under etviz/conf and what can be chosen in each."""
    folders = [folder for folder in importlib.resources.files(CONF).iterdir() if folder.is_dir()]
    groups = {f.name: sorted(x.name[:-5] for x in f.iterdir() if x.name.endswith(".yaml")) for f in folders}
    return {name: groups[name] for name in sorted(groups) if groups[name]}


def _check_known(key: str, known: Mapping, groups: Mapping) -> None:
    if key in known:
        return
    if any(option.startswith(f"{key}.") for option in known):
        raise UsageError(f"{key!r} is a section of options, not an option: --help lists what is in it.")
    raise UsageError(f"There is no option {key!r}{_closest(key, [*known, *groups])}.")


def _closest(key: str, known: list[str]) -> str:
    """A hint: an option of that name in a section, else the most similar one, else where to look."""
    same_name = [option for option in known if option.rpartition(".")[2] == key]
    similar = same_name or difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {similar[0]!r}?)" if similar else ": --help lists what there is"


# ---- help --------------------------------------------------------------------------------------------------------


def describe_options(kind: type[Options]) -> str:
    """The text of --help: the docstring of the options' class, then every option, its default and its text."""
    values = _defaults(kind, [])
    groups = _groups() if kind.groups else {}
    texts = _file_comments(groups) | dict(_texts(kind))
    rows = [(f"{group}=", " | ".join(choices)) for group, choices in groups.items()]
    rows += [(f"{key}={_written(_get(values, key))}", texts.get(key, "")) for key, _ in _annotations(kind, values)]
    width = min(34, max(len(option) for option, _ in rows))
    return "\n".join(
        [inspect.getdoc(kind) or "", "", *(f"  {option:<{width}}  {text}".rstrip() for option, text in rows)]
    )


def _texts(kind: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, what --help says of it) of every option of a dataclass."""
    for field in fields(kind):
        annotation = annotations_of(kind)[field.name]
        if is_section(annotation):
            yield from _texts(annotation, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, field.metadata.get("text", "")


def _file_comments(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The comment behind each option of the groups' files, by dotted key."""
    comments = {}
    for group, choices in groups.items():
        for choice in choices:
            source = importlib.resources.files(CONF).joinpath(group, f"{choice}.yaml").read_text()
            prefix = "" if "@package _global_" in source else f"{group}."
            comments = {f"{prefix}{key}": comment for key, comment in _comments(source).items()} | comments
    return comments


def _comments(source: str) -> dict[str, str]:
    """The comment behind each option of a YAML text, by dotted key."""
    comments, path = {}, []
    for line in source.splitlines():
        match = YAML_OPTION.fullmatch(line)
        if match is None:
            continue
        path = [*path[: len(match["indent"]) // 2], match["key"]]
        if match["doc"]:
            comments[".".join(path)] = match["doc"].strip()
    return comments


def _written(value: Any) -> str:
    """A default as one would type it; nothing for an option that has to be given."""
    return "" if value == NEEDED else value if isinstance(value, str) else json.dumps(value)
