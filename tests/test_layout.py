"""The house keeps its shape: which module may import which, and where each kind of file lies."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ETVIZ = ROOT / "etviz"
# From the bottom up. A module imports from its own layer or from one below it, inside functions too.
LAYERS = (
    ("errors", "version", "conf"),
    ("options", "files", "devices", "patches", "masks", "pixels"),
    ("models",),
    ("pictures", "sources", "data", "metrics", "commands", "checkpoints", "official", "inpainting", "examples"),
    ("analysis",),
    ("training", "evaluation", "plots", "restoration"),
    ("reports", "ui", "site"),
)
DOORS = (
    *("train", "evaluate", "compare", "robustness", "probe", "visualize", "restore", "bench", "metric_info"),
    "convert",
)
MOST_MODULES = 27  # beside one another in etviz/


def modules() -> dict[str, Path]:
    """Every module of the package, by its name."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ETVIZ.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = modules()


def imports(path: Path) -> set[str]:
    """The package's modules that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= submodules
            if len(submodules) < len(node.names):
                found.add(node.module or "")
    return found & MODULES.keys()


GRAPH = {name: imports(path) - {name} for name, path in MODULES.items()}


def is_door(name: str) -> bool:
    return name.endswith("__main__") or name.removeprefix("etviz.") in DOORS


def layer(name: str) -> int | None:
    """The number of a module's layer; None for the package itself, which gathers what is public."""
    if name == "etviz":
        return None
    area = name.split(".")[1]
    return len(LAYERS) if is_door(name) else next(i for i, areas in enumerate(LAYERS) if area in areas)


def test_no_import_goes_in_a_circle():
    list(graphlib.TopologicalSorter(GRAPH).static_order())  # or CycleError, which names the modules


def test_nothing_imports_a_door():
    assert not [(name, other) for name, others in GRAPH.items() for other in others if is_door(other)]


def test_arrows_point_down():
    upward = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if (mine := layer(name)) is not None and (theirs := layer(other)) is not None and theirs > mine
    ]
    assert not upward


@pytest.mark.parametrize("package", ["models", "analysis"])
def test_computation_loads_neither_interface_nor_configuration(package):
    names = [name for name in MODULES if name.startswith(f"etviz.{package}") and not is_door(name)]
    assert len(names) > 5
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {names}];"
        "print(*{'gradio', 'matplotlib', 'hydra'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_few_modules_lie_side_by_side():
    assert len(list(ETVIZ.glob("*.py"))) <= MOST_MODULES


def test_the_pages_code_lies_in_its_folder():
    outside = [path for path in (ETVIZ / "ui").rglob("*") if path.suffix in (".js", ".css", ".html")]
    assert not [path for path in outside if not path.is_relative_to(ETVIZ / "ui" / "page")]
