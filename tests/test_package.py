"""What surrounds the code: dependencies in step, a quick import, options in step with the code, a clean tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import etviz
from etviz.commands import load_options
from etviz.models import MODELS, create_model, model_options
from etviz.train import TrainOptions
from etviz.training import TrainConfig

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parent.parent
MOST_IMPORTS = 200  # beyond PyTorch's own modules; 80 today


def test_conda_environment_lists_what_pip_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = set(project["dependencies"]) | {d for extra in extras.values() for d in extra if not d.startswith("etviz")}
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    listed = next(d["pip"] for d in environment if isinstance(d, dict))
    assert set(listed) == wanted | {"-e ."}
    assert f"python{project['requires-python']}" in environment


def test_import_is_light():
    """What makes an import slow is what it loads: the heavy libraries, and few modules beyond PyTorch's own."""
    heavy = ("gradio", "matplotlib", "hydra", "torchmetrics", "transformers", "vector_quantize_pytorch", "torchvision")
    code = (
        "import sys, torch; before = set(sys.modules); import etviz; new = set(sys.modules) - before; "
        f"print(len(new), *[m for m in {heavy} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    beyond_torch, *loaded = found.stdout.split()
    assert loaded == []
    assert int(beyond_torch) < MOST_IMPORTS


@pytest.mark.parametrize("name", MODELS)
def test_model_presets_hold_the_constructors_defaults(name):
    recipe = ["experiment=reference"] if name in ("et", "et_asym") else []
    options = load_options(TrainOptions, [f"model={name}", *recipe]).model
    assert options.pop("name") == name
    normalisation = {"mean", "std"}  # the dataset's own, put in by the training
    assert all(options.pop(key) is None for key in normalisation)
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    defaults = {key: value for key, value in model_options(name).items() if key not in normalisation}
    assert options == defaults


def test_training_options_are_the_configs():
    assert load_options(TrainOptions, ["experiment=reference"]).train == TrainConfig(decay="all")


@pytest.mark.parametrize("path", sorted((ROOT / "etviz" / "conf").glob("[em]*/*.yaml")), ids=lambda p: p.stem)
def test_every_preset_composes(path):
    config = load_options(TrainOptions, [f"{path.parent.name}={path.stem}"])
    options = {key: value for key, value in config.model.items() if key not in ("mean", "std")}
    create_model(options.pop("name"), **options)


def test_public_names_are_there():
    for name in etviz.__all__:
        assert hasattr(etviz, name)


def test_nothing_fetched_or_pickled_is_tracked():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    files = tracked.stdout.split("\n")
    assert not [f for f in files if f.endswith((".pt", ".pth", ".pkl", ".npz", ".ckpt"))]
    assert sum((ROOT / f).stat().st_size for f in files if (ROOT / f).is_file()) < 60 * 2**20


def test_the_lock_file_pins_what_the_project_asks_for():
    """One version or more of each dependency, for other Pythons, all within its range; no address of any host."""
    requirements = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    pinned = {}
    for line in text.splitlines():
        name, _, version = line.partition(";")[0].strip().partition("==")
        pinned.setdefault(name.partition("[")[0], []).append(version)
    wanted = [d for extra in project["optional-dependencies"].values() for d in extra if not d.startswith("etviz")]
    for wish in map(requirements.Requirement, [*project["dependencies"], *wanted]):
        versions = pinned[wish.name.lower().replace("_", "-")]
        assert all(version in wish.specifier for version in versions), wish


UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}


def test_nothing_in_the_source_can_execute_what_it_reads():
    """No module that unpickles, no torch.load or np.load that may, no YAML but the safe kind, no eval."""
    found = []
    for path in [ROOT / "app.py", *(ROOT / "etviz").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                found += [(path.name, name) for name in names if name.partition(".")[0] in UNSAFE_MODULES]
            elif isinstance(node, ast.Call):
                found += [(path.name, name) for name in unsafe_calls(node)]
    assert found == []


def unsafe_calls(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    loads = name in ("torch.load", "torch.hub.load") and given.get("weights_only") != "True"
    return [name] if name in UNSAFE_CALLS or loads or given.get("allow_pickle", "False") != "False" else []


@pytest.mark.parametrize(
    "code", ["eval(x)", "yaml.load(x)", "torch.load(x)", "np.load(x, allow_pickle=True)", "np.load(x, allow_pickle=y)"]
)
def test_calls_that_would_be_found(code):
    assert unsafe_calls(ast.parse(code).body[0].value)
