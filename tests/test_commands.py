"""The commands, called as a user calls them, on a tiny checkpoint and dataset made here."""

import json
import math
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
import torchmetrics.functional.image as tm
from PIL import Image

import etviz
from etviz import bench, commands, devices, evaluate, visualize
from etviz.bench import BenchOptions
from etviz.checkpoints import save_checkpoint
from etviz.commands import load_named, load_options
from etviz.compare import CompareOptions
from etviz.evaluate import EvaluateOptions
from etviz.evaluation.metric_info import METRICS
from etviz.models.__main__ import CostOptions
from etviz.options import DataOptions, Positive, alternatives, annotations_of, check_option
from etviz.probe import ProbeOptions
from etviz.restore import RestoreOptions
from etviz.robustness import RobustnessOptions
from etviz.site.__main__ import SiteOptions
from etviz.train import TrainOptions
from etviz.visualize import VisualizeOptions

TINY = {"embed_dim": 64, "num_heads": 2, "head_dim": 32, "step_size": 0.1, "init_scale": 0.1, "steps": 3}
PICTURES = ["reconstruction.png", "film.png", "film.gif", "attention.png", "attention_heads.png", "energy.png"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A dataset in MedMNIST's layout: 12 random test images."""
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 5), ("test", 12)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, 3, (count, 1))
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, archive):
    """An untrained Energy Transformer whose card names the archive."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    torch.manual_seed(0)
    save_checkpoint(etviz.create_model("et", **TINY), folder, {"name": "tiny", "model": "et", "dataset": str(archive)})
    return folder


# ---- options -----------------------------------------------------------------------------------------------------


def test_defaults_come_from_the_class_and_arguments_replace_them():
    options = load_options(EvaluateOptions, ["checkpoint=a", "ratio=1", "data.root=/x y"])
    assert options.checkpoint == ("a",)
    assert options.ratio == 1
    assert options.seed == 0
    assert options.data == DataOptions(root=Path("/x y"), download=True)
    assert options == EvaluateOptions(checkpoint=["a"], ratio=1.0, data=DataOptions(root="/x y"))


def test_groups_are_chosen_by_name_and_bring_their_own_options():
    options = load_options(TrainOptions, ["experiment=reference", "model=et_asym", "model.decoder_embed_dim=64"])
    assert options.model["name"] == "et_asym"
    assert options.model["decoder_embed_dim"] == 64
    assert options.train.epochs == 1000


@pytest.mark.parametrize(
    "path",
    [
        *("~/runs/a", "outputs/a=b", "it's here", "a (2)", "C:\\runs\\a", "~\\a", "~\\'a\\\\", "näme"),
        *("2024_01_15", "1e3", "true", "null", "out/lr=0.1, seed=2", "'quoted'", "${x}", "{a: 1}", "???"),
    ],
)
def test_names_are_literal(path):
    assert load_options(EvaluateOptions, [f"checkpoint={path}"]).checkpoint == (path,)
    assert load_options(VisualizeOptions, [f"checkpoint={path}"]).checkpoint == path
    assert load_options(VisualizeOptions, ["checkpoint=a", f"out=./{path}"]).out == Path(path)


LITERAL = [
    *("a,b.c", "out/lr=0.1, seed=2", "a b", "[a", "a]", "{a: 1}", "2024_01_15", "1e5", "0x10", "1:30", "true", "~x"),
    *("$x", "${x}", "%(x)s", "???", "'a'", 'a"b', "a\\b", "#a", "a;b", "n\u00e4h", "=", "a=b=c", "!!int z", "&a", "*a"),
]
KINDS = [TrainOptions, EvaluateOptions, CompareOptions, RobustnessOptions, ProbeOptions, VisualizeOptions]
KINDS += [RestoreOptions, BenchOptions, CostOptions, SiteOptions]
TEXTS = [
    (kind, name)
    for kind in KINDS
    for name, annotation in annotations_of(kind).items()
    if any(found in (str, Path) or typing.get_origin(found) is tuple for found in alternatives(annotation))
    and name not in ("labels", "images")  # numbers
]


@pytest.mark.parametrize(("kind", "name"), TEXTS)
def test_every_option_that_is_a_name_or_a_path_is_literal(kind, name):
    needed = {"checkpoint": "checkpoint=x", "input": "input=x", "output": "output=x"}
    others = [value for key, value in needed.items() if key in annotations_of(kind) and key != name]
    others += ["dataset=cifar10"] if kind is TrainOptions else []
    lists = any(typing.get_origin(found) is tuple for found in alternatives(annotations_of(kind)[name]))
    for text in LITERAL:
        if lists and (text.startswith("[") or text.endswith("]")):  # brackets make a list
            continue
        found = getattr(load_options(kind, [*others, f"{name}={text}"]), name)
        assert found in (text, Path(text), (text,))


def test_what_exists_is_a_name_even_where_it_means_something_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("null", "~", "[a,b]"):
        assert str(load_options(VisualizeOptions, ["checkpoint=a", f"out=./{name}"]).out) == name
        Path(name).mkdir()
    assert load_options(EvaluateOptions, ["checkpoint=[a,b]", "report=null", "json=~"]) == EvaluateOptions(
        checkpoint=("[a,b]",), report=Path("null"), json=Path("~")
    )


def test_everything_after_two_dashes_is_a_name():
    assert load_named(EvaluateOptions, ["seed=1", "--", "--html", "seed=2"]).checkpoint == ("--html", "seed=2")
    assert load_named(ProbeOptions, ["--", "-h"]).checkpoint == "-h"


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("a", ("a",)),
        ("a,b", ("a,b",)),
        ("[a,b]", ("a", "b")),
        ("[2024_01_15, 'a,b', \"it's\"]", ("2024_01_15", "a,b", "it's")),
        ("[]", ()),
        ("null", None),
    ],
)
def test_lists_of_names_are_literal_too(written, names):
    assert load_options(CompareOptions, [f"checkpoints={written}"]).checkpoints == names


def test_what_exists_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("out/lr=0.1, seed=2", "[a,b]"):
        Path(name).mkdir(parents=True)
        assert load_named(EvaluateOptions, [name, "seed=1"]).checkpoint == (name,)
        assert load_named(EvaluateOptions, [f"checkpoint={name}"]).checkpoint == (name,)
    with pytest.raises(etviz.UsageError, match="There is no option 'out/lr'"):
        load_named(EvaluateOptions, ["out/lr=0.2"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["checkpoint=a", "ration=0.5"], "There is no option 'ration' (did you mean 'ratio'?)."),
        (["checkpoint=a", "root=x"], "There is no option 'root' (did you mean 'data.root'?)."),
        (["checkpoint=a", "qqqq=x"], "There is no option 'qqqq': --help lists what there is."),
        (["checkpoint=a", "qq(=x"], "There is no option 'qq('"),
        (["checkpoint=a", "data=x"], "'data' is a section of options"),
        (["checkpoint=a", "ratio=much"], "ratio must be a finite number, not 'much'."),
        (["checkpoint=a", "ratio=true"], "ratio must be a finite number, not true."),
        (["checkpoint=a", "ratio=null"], "ratio must be a finite number, not null."),
        (["checkpoint=a", "batch_size=1.5"], "batch_size must be a whole number, not 1.5."),
        (["checkpoint=a", "data.download=2"], "data.download must be true or false, not 2."),
        (["checkpoint="], "checkpoint[0] must be a name, not ''."),
        (["checkpoint=[]"], "checkpoint must be a list of one or more, not []."),
        (["checkpoint=a", "report="], "report must be a path, not ''."),
        (["checkpoint=a", "seeds=1,2"], "write a list as seeds=[1,2]."),
        (["checkpoint=[a"], "a bracket or a quote may be missing"),
        (["checkpoint=['a]"], "a bracket or a quote may be missing"),
        (["checkpoint=a", "ratio=[1"], "a bracket or a quote may be missing"),
        (["checkpoint=a", "ratio=${nothing}"], "An option cannot be read"),
        (["et-cifar10"], "Options are written key=value, not 'et-cifar10'"),
        (["--checkpoint=a"], "Options are written key=value"),
        (["+new=1"], "Options are written key=value"),
        ([], "checkpoint is needed: give checkpoint=VALUE."),
    ],
)
def test_bad_options_end_in_one_sentence(arguments, message):
    with pytest.raises(etviz.UsageError) as caught:
        load_options(EvaluateOptions, arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=reference", "dataset=cifar11"], "There is no dataset 'cifar11': choose one of cifar10,"),
        (["experiment=reference", "dataset=null"], "The options do not fit together"),
        (["experiment=reference", "epochs=3"], "did you mean 'train.epochs'?"),
        (["experiment=reference", "train.betas=3"], "train.betas must be a list"),
        (["experiment=reference", "train=3"], "'train' is a section of options"),
        (["experiment=reference", "dataset=custom"], "dataset.name is needed"),
    ],
)
def test_bad_choices_end_in_one_sentence(arguments, message):
    with pytest.raises(etviz.UsageError) as caught:
        load_options(TrainOptions, arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_lists_every_option_with_its_default_and_comment(capsys):
    with pytest.raises(SystemExit) as caught:
        load_options(VisualizeOptions, ["checkpoint=a", "--help"])
    assert caught.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "python -m etviz.visualize checkpoint=et-cifar10 out=pictures"
    options = {line.split("=")[0].strip(): line for line in lines[3:]}
    assert options.keys() == {
        *("checkpoint", "out", "dataset", "data.root", "data.download", "images", "energy_images"),
        *("ratio", "seed", "query", "steps", "step_size", "beta", "device"),
    }
    assert options["ratio"].split() == ["ratio=0.85", "share", "of", "patches", "hidden:", "54", "of", "64"]
    assert options["data.download"].startswith("  data.download=true")
    assert all(len(line.split()) > 1 for line in options.values())  # none without a comment


def test_help_lists_the_choices_of_groups(capsys):
    with pytest.raises(SystemExit):
        load_options(TrainOptions, ["--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dataset=", "cifar10", "|", "cifar100", "|", "cifar100_coarse", "|", "custom"] in lines
    assert any(line[:1] == ["train.clip=1.0"] for line in lines)
    assert any(line[:1] == ["model.embed_dim=256"] for line in lines)


def test_devices():
    assert devices.pick_device("cpu") == torch.device("cpu")
    assert devices.pick_device("auto") == devices.pick_device()
    for name in ("gpu", "cuda:99", "meta7", 3):
        with pytest.raises(etviz.UsageError, match="There is no device"):
            devices.pick_device(name)


@pytest.mark.parametrize("value", [0, -1, "abc", True, [1], math.nan, math.inf])
def test_positive_numbers(value):
    with pytest.raises(etviz.UsageError, match=r"beta must be (a finite number|above 0), not"):
        check_option("beta", value, Positive)
    assert check_option("beta", 2, Positive) == 2.0


# ---- exit codes, as a process ------------------------------------------------------------------------------------


def run_module(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"etviz.{name}", *arguments], capture_output=True, text=True, check=False
    )


def test_bad_input_exits_with_two_and_one_sentence():
    result = run_module("evaluate", "chekpoint=a")
    assert result.returncode == 2
    assert result.stderr == "error: There is no option 'chekpoint' (did you mean 'checkpoint'?).\n"
    assert result.stdout == ""


def test_standard_output_is_json_alone(checkpoint):
    result = run_module("evaluate", f"checkpoint={checkpoint}", "images=3", "device=cpu")
    assert result.returncode == 0
    assert json.loads(result.stdout)["images"] == 3
    assert "masked PSNR" in result.stderr


@pytest.mark.parametrize("count", [10**11, 2**62])
def test_too_little_memory_is_one_sentence(capsys, count):
    with pytest.raises(SystemExit) as caught:
        commands.run(lambda argv: torch.zeros(count, 3, 32, 32))
    assert caught.value.code == 2
    assert "error: There is not enough memory" in capsys.readouterr().err


def test_other_failures_are_not_hidden():
    def broken(argv):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        commands.run(broken)


def test_ctrl_c_ends_without_a_traceback(capsys):
    def interrupted(argv):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        commands.run(interrupted)
    assert caught.value.code == 130
    assert "Stopped." in capsys.readouterr().err


# ---- evaluate ----------------------------------------------------------------------------------------------------


def independent_scores(checkpoint, archive, count, ratio, seed):
    """Every number, from the archive's own arrays, without etviz.metrics and etviz.data."""
    arrays = np.load(archive)["test_images"][:count]
    images = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
    mask = etviz.random_mask(12, ratio, generator=torch.Generator().manual_seed(seed))[:count]
    output = etviz.load_model(checkpoint).reconstruct(images, mask)
    hidden = np.kron(mask.numpy().reshape(-1, 1, 8, 8), np.ones((1, 3, 4, 4))).astype(bool)
    squared = (output.double().numpy() - images.double().numpy()) ** 2
    errors = {
        "masked": squared[hidden].reshape(count, -1).mean(1),
        "completed": np.where(hidden, squared, 0).reshape(count, -1).mean(1),
        "raw": squared.reshape(count, -1).mean(1),
    }
    whole = {"completed": torch.where(torch.from_numpy(hidden), output, images), "raw": output}
    scores = {}
    for part, error in errors.items():
        scores |= with_error(f"{part}_mse", error)
        scores[f"{part}_psnr"] = -10 * np.log10(error.mean())
        spread = 10 / np.log(10) * scipy.stats.sem(error) / error.mean()
        scores[f"{part}_psnr_standard_error"] = spread
        scores |= with_error(f"{part}_psnr_image_mean", -10 * np.log10(error))
        if part in whole:
            similarity = tm.structural_similarity_index_measure(whole[part], images, data_range=1.0, reduction="none")
            scores |= with_error(f"{part}_ssim", similarity.double().numpy())
    return scores


def with_error(name, values):
    return {name: values.mean(), f"{name}_standard_error": scipy.stats.sem(values)}


@pytest.mark.parametrize("setting", [(12, 0.85, 0), (5, 0.5, 3)])
def test_every_printed_number_is_right(checkpoint, archive, capsys, setting):
    count, ratio, seed = setting
    options = [f"checkpoint={checkpoint}", f"ratio={ratio}", f"seed={seed}", "batch_size=4", "device=cpu"]
    evaluate.main([*options, *([] if count == 12 else [f"images={count}"])])
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    expected = independent_scores(checkpoint, archive, count, ratio, seed)
    assert report["metrics"] == pytest.approx(expected, rel=1e-5)
    assert (report["images"], report["mask_seed"], report["ratio"]) == (count, seed, ratio)
    assert (report["hidden_patches"], report["patches"]) == (int(64 * ratio), 64)
    assert (report["model"], report["dataset"], report["split"]) == ("et", "noise", "test")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.err.splitlines() if "│" in line]
    names = [name for name in expected if not name.endswith("_standard_error")]
    labels = {
        **{f"{part}_mse": f"{part} MSE" for part in ("masked", "completed", "raw")},
        **{f"{part}_psnr": f"{part} PSNR" for part in ("masked", "completed", "raw")},
        **{f"{part}_psnr_image_mean": f"{part} PSNR by image" for part in ("masked", "completed", "raw")},
        **{f"{part}_ssim": f"{part} SSIM" for part in ("completed", "raw")},
    }
    assert [row[0] for row in rows] == [labels[name] for name in names]
    assert [float(row[1].replace("dB", "")) for row in rows] == pytest.approx([expected[n] for n in names], abs=6e-4)
    errors = [expected[f"{name}_standard_error"] for name in names]
    assert [float(row[2]) for row in rows] == pytest.approx(errors, abs=6e-4)
    assert f"{count} test images, {int(64 * ratio)} of 64 patches hidden, mask seed {seed}" in captured.err


def test_the_json_file_holds_what_is_printed_whatever_the_batch_size(checkpoint, capsys, tmp_path):
    path = tmp_path / "new" / "scores.json"
    evaluate.main([f"checkpoint={checkpoint}", f"json={path}", "device=cpu"])
    first = capsys.readouterr().out
    assert path.read_text() == first
    evaluate.main([f"checkpoint={checkpoint}", "device=cpu"])
    assert capsys.readouterr().out == first
    evaluate.main([f"checkpoint={checkpoint}", "device=cpu", "batch_size=5"])
    report = json.loads(capsys.readouterr().out)
    assert report["metrics"] == pytest.approx(json.loads(first)["metrics"], rel=1e-6)


def test_another_dataset_may_be_named(checkpoint, capsys, tmp_path):
    for index in range(3):
        Image.new("RGB", (40, 40), (80 * index, 10, 200)).save(tmp_path / f"{index}.png")
    evaluate.main([f"checkpoint={checkpoint}", f"dataset={tmp_path}", "device=cpu"])
    report = json.loads(capsys.readouterr().out)
    assert report["dataset"] == tmp_path.name
    assert report["images"] == 1


def test_infinite_psnr_is_null_in_json_and_named_in_the_table():
    report = {"checkpoint": "a", "dataset": "b", "images": 1, "hidden_patches": 54, "patches": 64, "mask_seed": 0}
    table = evaluate.make_table(report | {"metrics": dict.fromkeys(METRICS)})
    assert list(table.columns[1].cells) == ["infinite"] * len(METRICS)
    assert set(table.columns[2].cells) == {""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["images=0"], "images must be at least 1, not 0"),
        (["images=ten"], "images must be a whole number"),
        (["ratio=0"], "hides none of 64 patches"),
        (["ratio=2"], "between 0 and 1"),
        (["seed=-1"], "seed must be at least 0"),
        (["batch_size=0"], "batch_size must be at least 1"),
        (["seed=100000000000000000000000"], "seed must be at most"),
        (["device=abacus"], "There is no device 'abacus'"),
        (["dataset=[a]"], r"There is no dataset \'\[a\]\'"),
        (["dataset=5"], "There is no dataset '5'"),
        (["dataset=cifar10", "data.root=5", "data.download=false"], "cifar10 was not found in '5'"),
        (["checkpoint=~nosuch/x"], "There is no checkpoint '~nosuch/x'"),
        (["dataset=nowhere"], "There is no dataset 'nowhere'"),
        (["checkpoint=nowhere"], "There is no checkpoint 'nowhere'"),
    ],
)
def test_bad_values_end_in_one_sentence(checkpoint, options, message):
    with pytest.raises(etviz.UsageError, match=message):
        evaluate.main([f"checkpoint={checkpoint}", *options])


def test_a_json_path_that_cannot_be_is_refused_before_the_work(checkpoint, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(etviz.UsageError, match="cannot be made"):
        evaluate.main([f"checkpoint={checkpoint}", f"json={tmp_path}/file/scores.json"])
    for command, options in ((evaluate, [f"checkpoint={checkpoint}"]), (bench, [])):
        with pytest.raises(etviz.UsageError, match="is a folder: name a file"):
            command.main([*options, f"json={tmp_path}"])


def test_a_checkpoint_without_a_dataset_asks_for_one(tmp_path):
    save_checkpoint(etviz.create_model("et", **TINY), tmp_path / "bare", {})
    with pytest.raises(etviz.UsageError, match="name a dataset, as dataset=cifar10"):
        evaluate.main([f"checkpoint={tmp_path / 'bare'}"])


# ---- visualize ---------------------------------------------------------------------------------------------------


def test_visualize_writes_what_it_prints(checkpoint, capsys, tmp_path):
    out = tmp_path / "pictures"
    visualize.main([f"checkpoint={checkpoint}", f"out={out}", "images=[2,7]", "energy_images=12", "device=cpu"])
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in PICTURES]
    assert sorted(path.name for path in out.iterdir()) == sorted(PICTURES)
    for name in PICTURES:
        with Image.open(out / name) as picture:
            picture.verify()
            assert picture.format == ("GIF" if name.endswith("gif") else "PNG")
    with Image.open(out / "film.gif") as film:
        assert film.n_frames == 4


def test_visualize_draws_the_images_masks_and_settings_asked_for(checkpoint, archive, monkeypatch, tmp_path):
    calls = {}
    for name in ("reconstruction_grid", "film_strip", "film_gif", "energy_curves", "attention_maps", "attention_heads"):
        original = getattr(visualize.plots, name)
        monkeypatch.setattr(
            visualize.plots, name, lambda *a, name=name, original=original: calls.update({name: a}) or original(*a)
        )
    options = ["images=[7,2]", "energy_images=5", "seed=4", "query=9", "steps=2", "step_size=0.05", "beta=0.5"]
    visualize.main([f"checkpoint={checkpoint}", f"out={tmp_path}", "device=cpu", *options])
    test_images = torch.from_numpy(np.load(archive)["test_images"]).permute(0, 3, 1, 2).float() / 255
    masks = etviz.random_mask(12, generator=torch.Generator().manual_seed(4))
    model = etviz.load_model(checkpoint)
    descent = {"steps": 2, "step_size": 0.05, "beta": 0.5}
    expected = model.trace(test_images[[7, 2]], masks[[7, 2]], **descent)

    images, mask, reconstruction = calls["reconstruction_grid"]
    assert torch.equal(images, test_images[[7, 2]])
    assert torch.equal(mask, masks[[7, 2]])
    assert torch.allclose(reconstruction, expected.frames[:, -1], atol=1e-6)
    for name in ("film_strip", "attention_maps", "attention_heads"):
        assert torch.allclose(calls[name][0].energy, expected.energy)
    assert calls["attention_maps"][2] == calls["attention_heads"][2] == 9
    energies = torch.cat([trace.energy for trace in calls["energy_curves"][0]])
    assert torch.allclose(energies, model.trace(test_images[:5], masks[:5], **descent).energy)


def test_a_model_that_descends_no_energy_gets_a_grid(checkpoint, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(etviz.models.EnergyTransformer, "has_energy", False)
    visualize.main([f"checkpoint={checkpoint}", f"out={tmp_path}", "device=cpu"])
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "reconstruction.png")]


def test_images_are_the_first_eight_unless_asked_for():
    assert visualize.chosen_images(None, 12) == list(range(8))
    assert visualize.chosen_images(None, 3) == [0, 1, 2]
    assert visualize.chosen_images(5, 12) == [5]


def test_the_query_is_the_centre_unless_asked_for():
    assert visualize.chosen_patch(None, 64) == 36
    assert visualize.chosen_patch(63, 64) == 63


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["images=[12]"], "There is no test image 12: they are numbered 0 to 11"),
        (["images=[]"], "images takes 1 to 16 numbers, not 0"),
        (["images=[a]"], "images must be a whole number"),
        (["images=12"], "There is no test image 12"),
        (["query=64"], "There is no patch 64"),
        (["query=x"], "query must be a whole number"),
        (["steps=1.5"], "steps must be a whole number"),
        (["step_size=0"], "step_size must be above 0"),
        (["beta=cold"], "beta must be a finite number"),
        (["energy_images=0"], "energy_images must be at least 1"),
        (["ratio=0"], "hides none"),
        (["step_size=inf"], "step_size must be a finite number"),
        (["out=/proc"], "'/proc' cannot be made or written to"),
        ([f"out={'x' * 5000}"], "cannot be made or written to"),
    ],
)
def test_bad_pictures_end_in_one_sentence(checkpoint, options, message, tmp_path):
    with pytest.raises(etviz.UsageError, match=message):
        visualize.main([f"checkpoint={checkpoint}", f"out={tmp_path}", "device=cpu", *options])
    assert not list(tmp_path.iterdir())
