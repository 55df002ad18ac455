"""What the commands share: key=value options by Hydra, and errors that are one sentence.

A command is ``main(argv)``, called as ``run(main)`` under ``if __name__ == "__main__"``. Its options and their defaults
are a YAML file under etviz/conf; the comment behind an option is what --help says of it.
"""

import difflib
import importlib.resources
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from etviz.errors import UsageError
from etviz.files import make_place

CONF = "etviz.conf"
MISSING = "???"  # a default that says: has to be given
HELP_FLAGS = ("--help", "-h")
BEFORE_QUOTE = re.compile(r"(\\*)('|$)")
YAML_OPTION = re.compile(r"(?P<indent> *)(?P<key>\w+):(?P<value>[^#]*)(?:#\s*(?P<doc>.*))?")


def run(main: Callable[[list[str]], None]) -> None:
    """Call a command with the process's arguments: bad input ends in one sentence on stderr and exit status 2."""
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
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)


def _is_out_of_memory(error: Exception) -> bool:
    """PyTorch has a class of its own for this on CUDA, but none on a CPU."""
    known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    return known or any(words in str(error) for words in ("allocate memory", "calculation overflowed"))


def load_config(name: str, argv: list[str]) -> dict:
    """A command's options: defaults from etviz/conf/NAME.yaml, overridden by key=value arguments.

    Args:
        name: of the YAML file, without suffix. Groups (``dataset=cifar100``) are the folders beside it: a command whose
            options clash with them lives in a folder of its own, as "commands/evaluate".
        argv: arguments; --help anywhere among them prints the options and exits.

    Returns:
        A plain nested dict, whose numbers, texts, lists and sections are of their defaults' kind.

    Raises:
        UsageError: an option that does not exist, cannot be read, is of the wrong kind, or is missing.
        SystemExit: after --help.
    """
    *folders, name = name.split("/")
    module = ".".join([CONF, *folders])
    if any(flag in argv for flag in HELP_FLAGS):
        print(describe_options(module, name))
        sys.exit(0)
    overrides = [_parse(argument) for argument in argv]
    groups = _groups(module)
    defaults = _compose(module, name, [o for o in overrides if o.key_or_group in groups])
    known = dict(_leaves(OmegaConf.to_container(defaults)))
    for override in overrides:
        _check_known(override.key_or_group, known, groups)
    try:
        config = OmegaConf.to_container(_compose(module, name, overrides), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UsageError(_missing_or_unreadable(error)) from error
    for key, value in _leaves(config):
        _check_kind(key, value, known)
    return config


def load_named(name: str, argv: list[str], flags: Sequence[str] = ()) -> tuple[dict, list[str]]:
    """The options of a command about checkpoints, which may be named without checkpoint=, and those names.

    Args:
        name, argv: as `load_config` takes them.
        flags: options that are true or false and may be written --NAME too.

    Raises:
        UsageError: none is named, or one twice, or some both ways; and what `load_config` raises.
    """
    written = {f"--{flag}": f"{flag}=true" for flag in flags}
    names = [argument for argument in argv if "=" not in argument and not argument.startswith("-")]
    options = [written.get(argument, argument) for argument in argv if argument not in names]
    if names and any(option.startswith("checkpoint=") for option in options):
        raise UsageError(f"Name checkpoints either as checkpoint=NAME or without it: {names[0]!r} is one too many.")
    check_named_once(names)
    if not names:
        config = load_config(name, options)
        return config, [str(config["checkpoint"])]
    return load_config(name, [*options, f"checkpoint={names[0]}"]), names


def whole_number(name: str, value, least: int = 0) -> int:
    """``value`` if it is a whole number from ``least`` to 2^63, else a `UsageError` that names the option."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise UsageError(f"{name} must be a whole number of {least} or more, not {value!r}.")
    return value


def positive_number(name: str, value) -> float:
    """``value`` as a float if it is a finite number above 0, else a `UsageError` that names the option."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise UsageError(f"{name} must be a number above 0, not {value!r}.")
    return float(value)


def word(name: str, value) -> str:
    """``value`` as a text: a name may be all digits. `UsageError` for a list, true, false, or nothing."""
    if isinstance(value, (list, dict, bool)) or value in (None, ""):
        raise UsageError(f"{name} takes a word, not {json.dumps(value)}.")
    return str(value)


def path_option(name: str, value) -> Path:
    """``value`` as a path, ~ expanded where there is such a home. `UsageError` as `word`."""
    return Path(os.path.expanduser(word(name, value)))


def file_option(name: str, value) -> Path | None:
    """``value`` as a file to write, its folder made; None for null. Asked before the long part of a command.

    Raises:
        UsageError: as `path_option`, or it is no place to write to.
    """
    return None if value is None else make_place(path_option(name, value))


# ---- reading overrides -------------------------------------------------------------------------------------------


def _parse(argument: str) -> Override:
    """One key=value argument. A value that Hydra's grammar has no word for (~, =, quotes, brackets) is a text."""
    key, equals, value = argument.partition("=")
    if not equals or not key or argument.startswith(("-", "+", "~")):
        raise UsageError(f"Options are written key=value, not {argument!r}: --help lists them.")
    parser = OverridesParser.create()
    try:
        override = parser.parse_override(argument)
    except (OverrideParseException, HydraException) as error:
        if value.startswith(("[", "{", "'", '"')):
            raise UsageError(
                f"The value of {argument!r} cannot be read: a bracket or a quote may be missing."
            ) from error
        override = _parse_text(parser, key, value)
    if override.is_sweep_override():
        raise UsageError(f"{argument!r} gives several values: write a list as {key}=[{value}].")
    return override


def _parse_text(parser: OverridesParser, key: str, value: str) -> Override:
    """The value as a quoted string, in which backslashes count only before a quote."""
    quoted = BEFORE_QUOTE.sub(lambda match: 2 * match[1] + ("\\'" if match[2] else ""), value)
    try:
        return parser.parse_override(f"{key}='{quoted}'")
    except HydraException as error:
        raise UsageError(f"There is no option {key!r}: --help lists what there is.") from error


def _compose(module: str, name: str, overrides: list[Override]) -> DictConfig:
    try:
        with initialize_config_module(module, version_base="1.3"):
            return compose(name, overrides=[override.input_line for override in overrides])
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


def _missing_or_unreadable(error: OmegaConfBaseException) -> str:
    if error.full_key and "mandatory" in str(error):
        return f"{error.full_key} is needed: give {error.full_key}=VALUE."
    return f"An option cannot be read: {str(error).splitlines()[0]}."


# ---- checks ------------------------------------------------------------------------------------------------------


def _leaves(config, prefix: str = "") -> Iterator[tuple[str, object]]:
    """(dotted key, value) of every option of a nested dict."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_known(key: str, known: dict, groups: dict) -> None:
    if key in known or key in groups:
        return
    if any(option.startswith(f"{key}.") for option in known):
        raise UsageError(f"{key!r} is a section of options, not an option: --help lists what is in it.")
    raise UsageError(f"There is no option {key!r}{_closest(key, [*known, *groups])}.")


def _closest(key: str, known: list[str]) -> str:
    """A hint: an option of that name in a section, else the most similar one, else where to look."""
    same_name = [option for option in known if option.rpartition(".")[2] == key]
    similar = same_name or difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {similar[0]!r}?)" if similar else ": --help lists what there is"


def _check_kind(key: str, value, known: dict) -> None:
    """Raise `UsageError` where a value is not of its default's kind; a default of null says nothing of the kind."""
    default = known.get(key)
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, kind = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif isinstance(default, float):
        fits, kind = isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
    elif isinstance(default, list):
        fits, kind = isinstance(value, list), "a list, as [0,1,2]"
    elif isinstance(default, str):
        fits, kind = isinstance(value, (str, int, float)), "a word"
    else:
        return
    if not fits:
        raise UsageError(f"{key} takes {kind}, not {json.dumps(value)}.")


# ---- help --------------------------------------------------------------------------------------------------------


def describe_options(module: str, name: str) -> str:
    """The text of --help: what the file's first comment says, then every option, its default and its comment."""
    choices = _groups(module)
    config = OmegaConf.to_container(_compose(module, name, []))
    source = _read(module, f"{name}.yaml")
    docs = _comments(source)
    for group in choices:
        for file in importlib.resources.files(module).joinpath(group).iterdir():
            if file.name.endswith(".yaml"):
                prefix = "" if "@package _global_" in file.read_text() else f"{group}."
                docs = {f"{prefix}{key}": doc for key, doc in _comments(file.read_text()).items()} | docs
    rows = [(f"{group}=", " | ".join(options)) for group, options in choices.items()]
    rows += [(f"{key}={_written(value)}", docs.get(key, "")) for key, value in _leaves(config)]
    width = min(34, max(len(option) for option, _ in rows))
    lines = [line.lstrip("# ") for line in source.splitlines()[: _header_length(source)]]
    return "\n".join([*lines, "", *(f"  {option:<{width}}  {doc}".rstrip() for option, doc in rows)])


def _groups(module: str) -> dict[str, list[str]]:
    """The groups beside a configuration (its folders that are no modules) and what can be chosen in each."""
    folders = [f for f in importlib.resources.files(module).iterdir() if f.is_dir()]
    groups = {f.name: sorted(x.name[:-5] for x in f.iterdir() if x.name.endswith(".yaml")) for f in folders}
    modules = {f.name for f in folders if f.joinpath("__init__.py").is_file()}
    return {name: groups[name] for name in sorted(groups) if groups[name] and name not in modules}


def _read(module: str, file: str) -> str:
    return importlib.resources.files(module).joinpath(file).read_text()


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


def _header_length(source: str) -> int:
    """Number of comment lines that a YAML text starts with."""
    lines = source.splitlines()
    return next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _written(value) -> str:
    """A default as one would type it; nothing for an option that has to be given."""
    return "" if value == MISSING else value if isinstance(value, str) else json.dumps(value)


def check_named_once(names: list[str]) -> None:
    """Raise `UsageError` where several checkpoints are asked for and one of them twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"The checkpoint {twice!r} is named twice.")
