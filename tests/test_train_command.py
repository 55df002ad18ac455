"""python -m etviz.train as a user types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import etviz
from etviz import checkpoints, evaluate, train
from etviz.errors import UsageError
from etviz.metrics import evaluate_model
from etviz.training import LAST, read_history

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    "experiment=laptop",
    "model.embed_dim=16",
    "model.num_heads=2",
    "model.head_dim=8",
    "model.steps=2",
    "train.batch_size=16",
    "train.epochs=2",
    "train.log_every=2",
    "train.snapshots=2",
    "train.accelerator=cpu",
]

VIT = ["model.embed_dim=16", "model.depth=1", "model.num_heads=2"]
DECODER = ["model.decoder_embed_dim=16", "model.decoder_num_heads=2"]
TINY_BASELINES = {
    "mae_small": VIT + DECODER,
    "mixedae_small": VIT + DECODER,
    "simmim_small": ["model.embed_dim=16", "model.depths=[1,1]", "model.num_heads=[1,2]"],
    "beit_small": [*VIT, "model.tokenizer=codes"],
}


@pytest.fixture
def dataset(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return ["dataset=custom", f"dataset.name={archive}"]


@pytest.fixture
def options(dataset):
    return [*dataset, *TINY]


def command(*options, cwd=None, **kwargs):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "etviz.train", *options],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=200,
        **kwargs,
    )


def test_trains_and_scores_the_test_split_once(options, tmp_path, capsys):
    train.main([*options, "run=mine"])
    assert "masked PSNR" in capsys.readouterr().out
    assert [row["epoch"] for row in read_history("mine")] == [0.5455, 1.0, 1.4545, 2.0]  # steps 6, 11, 16, 22
    card = checkpoints.load_card("mine")
    dataset = etviz.load_dataset(options[1].removeprefix("dataset.name="))
    scores = evaluate_model(etviz.load_model("mine"), dataset.test_images)
    assert card["metrics"]["test"]["masked_mse"] == pytest.approx(scores["masked_mse"], rel=1e-6)
    assert card["metrics"]["test"]["images"] == 40


@pytest.mark.parametrize("preset", TINY_BASELINES)
def test_every_model_trains_resumes_and_is_evaluated(preset, dataset, tmp_path, capsys):
    """Each beside the Energy Transformer, by commands alone: what evaluation says is what training wrote."""
    recipe = ["experiment=laptop", *(option for option in TINY if option.startswith("train."))]
    recipe += ["train.epochs=6", "train.lr=1e-2", "train.warmup_steps=5", "train.validate_every=2"]
    recipe += ["train.log_every=1000"]  # so that the history holds the mean loss between validations
    if preset == "beit_small":
        train.main([*dataset, *recipe, "model=tokenizer", "model.width=16", "model.depth=1", "run=codes"])
        tokenizer = checkpoints.load_card("codes")["metrics"]["test"]
    train.main([*dataset, *recipe, f"model={preset}", *TINY_BASELINES[preset], "run=mine"])
    history = read_history("mine")
    assert history[-1]["train_loss"] < history[0]["train_loss"]

    shutil.rmtree("codes", ignore_errors=True)  # a run holds all that it needs
    card = checkpoints.load_card("mine")
    train.main(["resume=mine"])  # nothing is left to do but to score again
    assert checkpoints.load_card("mine")["metrics"]["test"] == card["metrics"]["test"]
    evaluate.main(["checkpoint=mine", "json=scores.json", "device=cpu"])
    assert ("its ceiling" in capsys.readouterr().err) == (preset == "beit_small")
    scores = json.loads(Path("scores.json").read_text())
    assert scores["metrics"]["masked_mse"] == pytest.approx(card["metrics"]["test"]["masked_mse"], rel=1e-5)
    if preset == "beit_small":
        assert tokenizer["masked_mse"] < scores["metrics"]["masked_mse"]  # its ceiling
        assert scores["ceiling"]["masked_mse"] == pytest.approx(tokenizer["masked_mse"], rel=1e-5)
        assert card["metrics"]["ceiling"]["masked_mse"] == pytest.approx(tokenizer["masked_mse"], rel=1e-5)


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        ([], "beit needs a trained tokenizer: make one by python -m etviz.train model=tokenizer"),
        (["model.tokenizer=nowhere"], "no checkpoint 'nowhere'"),
        (["model.tokenizer=et-cifar10"], "needs a trained tokenizer"),
    ],
)
def test_beit_needs_a_tokenizer(dataset, tokenizer, message):
    with pytest.raises(UsageError, match=message):
        train.main([*dataset, "experiment=laptop", "model=beit_small", *tokenizer])


def test_normalisation_is_the_training_images_own(options):
    train.main([*options, "run=mine", "test=false"])
    dataset = etviz.load_dataset(options[1].removeprefix("dataset.name="))
    model = etviz.load_model("mine")
    mean = dataset.train_images.float().mean(dim=(0, 2, 3)) / 255
    assert model.mean.flatten().tolist() == pytest.approx(mean.tolist(), abs=1e-4)


def test_a_run_folder_is_never_overwritten(options):
    train.main([*options, "run=mine", "test=false"])
    before = (Path("mine") / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="holds files already"):
        train.main([*options, "run=mine"])
    assert (Path("mine") / "model.safetensors").read_bytes() == before


def test_ctrl_c_saves_and_says_how_to_resume(options, tmp_path):
    """Interrupted as by a terminal, resumed by the sentence that it printed: as if it had never stopped."""
    train.main([*options, "run=straight", "test=false", "train.epochs=40"])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # as here: sums depend on it
    arguments = [*options, "run=outputs/stopped", "test=false", "train.epochs=40"]
    process = subprocess.Popen(
        [sys.executable, "-m", "etviz.train", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    history = Path("outputs/stopped/history.csv")
    deadline = time.monotonic() + 120
    while not history.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "python -m etviz.train resume=outputs/stopped" in out
    assert read_history("outputs/stopped")[-1]["epoch"] < 40

    train.main(["resume=auto", "test=false"])
    assert read_history("outputs/stopped")[-1]["epoch"] == 40
    finals = [
        checkpoints.read_tensors(Path(run) / LAST / "state.safetensors") for run in ("straight", "outputs/stopped")
    ]
    assert all(finals[0][name].equal(finals[1][name]) for name in finals[0] if name.startswith("model."))


def test_a_resumed_run_refuses_other_options(options):
    train.main([*options, "run=mine", "test=false"])
    with pytest.raises(UsageError, match=r"keeps its own configuration.*train\.lr=1"):
        train.main(["resume=mine", "train.lr=1"])


def test_nothing_to_resume(options):
    with pytest.raises(UsageError, match="no run to resume"):
        train.main(["resume=auto"])
    with pytest.raises(UsageError, match="no run to resume"):
        train.main(["resume=elsewhere"])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("train.epoch=3", "did you mean 'train.epochs'"),
        ("model.patch_size=5", "cannot be cut into 5x5 patches"),
        ("train.ratio=1.5", "between 0 and 1"),
        ("model.num_heads=0", "num_heads must be at least 1"),
        ("experiment=quick", "no experiment 'quick'"),
        ("train.ratio=0.01", "hides none of 64 patches"),
        ("train.batch_size=1000", "more than the 180 images"),
        ("dataset.name=nowhere.npz", "no archive 'nowhere.npz'"),
    ],
)
def test_bad_options_are_one_sentence(options, bad, message):
    with pytest.raises(UsageError, match=message):
        train.main([*options, bad])
    assert not Path("outputs").exists()


def test_bad_option_from_the_shell(tmp_path):
    result = command("train.epoch=3", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr


def test_two_processes_train_as_one(options, tmp_path):
    """Two CPU processes share each batch; every line, card and score comes once."""
    arguments = [*options, "train.devices=2", "train.precision=32-true", "run=pair"]
    result = command(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("masked PSNR") == 1
    assert result.stdout.count("Training et") == 1
    train.main([*options, "train.precision=32-true", "train.devices=1", "run=alone"])
    pair, alone = (read_history(run)[-1] for run in ("pair", "alone"))
    assert pair["images"] == alone["images"]
    assert pair["masked_mse"] == pytest.approx(alone["masked_mse"], rel=0.1)  # other masks, the same images


def test_a_run_folder_that_cannot_be_made(options, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be made"):
        train.main([*options, "run=file/run"])
