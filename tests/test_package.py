"""What surrounds the code: dependencies in step, a quick import, options in step with the code, a clean tree."""

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
