"""python -m etviz.train as a user types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

import etviz
from etviz import checkpoints, evaluate, files, train, training
from etviz.commands import load_options
from etviz.errors import UsageError
from etviz.metrics import evaluate_model
from etviz.training import LAST, STATE, batches, read_history, train_config

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


def command(*options, cwd=None, environment=None, **kwargs):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
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


def test_the_paint_recipe_trains_and_its_saved_options_say_how(options, tmp_path):
    """Pairs of values and weights go through the command line, the run's configuration and resuming."""
    train.main([*options, "experiment=paint", "train.descent_steps=[[1,0.5],[2,0.5]]", "run=mine", "test=false"])
    saved = train_config(checkpoints.load_config("mine")["train"])
    assert saved.descent_steps == ((1, 0.5), (2, 0.5))
    assert (saved.masks, saved.ema, saved.own_steps_from) == ("mixture", 0.9995, 0.92)
    before = checkpoints.read_tensors(Path("mine") / LAST / STATE)
    assert any(name.startswith("average.") for name in before)
    train.main(["resume=mine", "test=false"])  # nothing is left to do
    after = checkpoints.read_tensors(Path("mine") / LAST / STATE)
    assert all(before[name].equal(after[name]) for name in before)


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
    assert ("its codes" in capsys.readouterr().err) == (preset == "beit_small")
    scores = json.loads(Path("scores.json").read_text())
    assert scores["metrics"]["masked_mse"] == pytest.approx(card["metrics"]["test"]["masked_mse"], rel=1e-5)
    if preset == "beit_small":
        assert tokenizer["masked_mse"] < scores["metrics"]["masked_mse"]  # the least there can be
        lent = train.trained_parts({"name": "beit", "tokenizer": "mine"})["tokenizer"]
        another = etviz.create_model("beit", embed_dim=16, depth=1, num_heads=2, tokenizer=lent)
        assert another.config["tokenizer"] == checkpoints.load_model("mine").config["tokenizer"]
        assert scores["ceiling"]["masked_mse"] == pytest.approx(tokenizer["masked_mse"], rel=1e-5)
        assert card["metrics"]["ceiling"]["masked_mse"] == pytest.approx(tokenizer["masked_mse"], rel=1e-5)


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        ([], "beit needs a trained tokenizer: make one by python -m etviz.train model=tokenizer"),
        (["model.tokenizer=nowhere"], "no checkpoint 'nowhere'"),
        (["model.tokenizer=et-cifar10"], "must be a Tokenizer, not a EnergyTransformer"),
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
    options = [*options, "train.epochs=40", "train.validate_every=2"]
    train.main([*options, "run=straight", "test=false"])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # as here: sums depend on it
    arguments = [*options, "run=outputs/stopped", "test=false"]
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


def test_two_runs_of_one_second_have_a_folder_each(options, monkeypatch):
    monkeypatch.setattr(train.time, "strftime", lambda form: "now")
    config = load_options(train.TrainOptions, options)
    folders = [train.new_run(config) for _ in range(3)]
    assert [folder.name for folder in folders] == ["squares-et-now", "squares-et-now-2", "squares-et-now-3"]
    assert all(folder.is_dir() for folder in folders)
    monkeypatch.setattr(train.rank_zero_only, "rank", 1)  # in the other processes of that run
    assert train.new_run(config) is None
    assert len(list(Path("outputs").iterdir())) == 3


def test_a_refused_run_leaves_no_folder(options, monkeypatch):
    with pytest.raises(UsageError, match="cannot be used here"):
        train.main([*options, "train.devices=several"])
    assert not Path("outputs").exists()

    def refuse(*arguments, **options):
        raise UsageError("no")

    monkeypatch.setattr(train, "fit", refuse)  # once the folder is claimed
    with pytest.raises(UsageError, match="no"):
        train.main(options)
    assert not list(Path("outputs").iterdir())


@pytest.mark.parametrize("name", ["5", "2024_01_15"])
def test_a_number_is_a_name_too(options, name):
    train.main([*options, f"run={name}", "test=false", "train.epochs=1"])
    assert checkpoints.load_card(name)["name"] == name


def test_a_dataset_named_by_a_relative_path_is_found_from_elsewhere(options, archive, tmp_path, monkeypatch, capsys):
    relative = [*(o for o in options if not o.startswith("dataset.name")), f"dataset.name={archive.name}"]
    train.main([*relative, "run=mine", "test=false", "train.epochs=1"])
    assert checkpoints.load_config("mine")["dataset"]["name"] == str(archive)
    assert checkpoints.load_card("mine")["dataset"] == "squares"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train.main([f"resume={tmp_path / 'mine'}", "test=false"])
    evaluate.main([f"checkpoint={tmp_path / 'mine'}", "images=3", "device=cpu"])
    assert '"dataset": "squares"' in capsys.readouterr().out


def test_a_given_mean_is_kept(options):
    train.main([*options, "run=mine", "test=false", "train.epochs=1", "model.mean=[0.1,0.2,0.3]"])
    saved = checkpoints.load_config("mine")["model"]
    assert saved["mean"] == [0.1, 0.2, 0.3]
    assert saved["std"] != [0.1, 0.2, 0.3]


def test_resume_auto_passes_over_finished_runs(options, monkeypatch):
    for name in ("unfinished", "finished"):
        train.main([*options, f"run=outputs/{name}", "test=false", "train.epochs=1"])
    with pytest.raises(UsageError, match="no run to resume under"):
        train.find_run("auto")
    state = Path("outputs/unfinished") / LAST / STATE
    metadata = checkpoints.read_metadata(state) | {"step": "5"}
    checkpoints.write_tensors(state, checkpoints.read_tensors(state), metadata)
    os.utime(state, (0, 0))  # saved long before the finished one
    assert train.find_run("auto") == Path("outputs/unfinished")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda saved: saved.pop("train"), "does not say what and how it was trained"),
        (lambda saved: saved.update(dataset={}), "does not say what and how it was trained"),
        (lambda saved: saved.update(train=[1]), "its section 'train' must hold options"),
        (lambda saved: saved["train"].update(epochs="many"), "train.epochs must be a whole number"),
        (lambda saved: saved["train"].update(betas=3), "train.betas must be a list"),
        (lambda saved: saved["model"].update(img_size="x"), "img_size must be a whole number"),
        (lambda saved: saved["model"].update(name=["et"]), "does not name a model"),
        (lambda saved: saved["dataset"].update(name=[5]), "There is no dataset"),
    ],
)
def test_an_edited_configuration_is_one_sentence(options, edit, message):
    train.main([*options, "run=mine", "test=false", "train.epochs=1"])
    saved = checkpoints.load_config("mine")
    edit(saved)
    files.write_text(Path("mine/config.yaml"), yaml.safe_dump(saved))
    with pytest.raises(UsageError, match=message):
        train.main(["resume=mine"])


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
        ("dataset.name=5", "no dataset '5'"),
        ("dataset.name=~nosuch/x.npz", "no archive '~nosuch/x.npz'"),
        (f"dataset.name={'x' * 5000}", "no dataset 'x+'"),
        ("run=", "run must be a path"),
        (f"run={'x' * 5000}", "cannot be made"),
        ("resume=", "resume must be a name"),
        ("resume=5", "no run to resume in '5'"),
        ("resume=~nosuch", "no run to resume in '~nosuch'"),
        (f"resume={'x' * 5000}", "no run to resume in 'x+'"),
        ("model.img_size=0", "img_size must be at least 1"),
        ("model.img_size=-32", "img_size must be at least 1"),
        ("model.embed_dim=1e9", "embed_dim must be a whole number"),
        ("model.embed_dim=1000000000", "embed_dim must be at most"),
        ("model.memory_ratio=nan", "memory_ratio must be a finite number"),
        ("model.memory_ratio=inf", "memory_ratio must be a finite number"),
        ("model.mean=[a,b,c]", r"mean\[0\] must be a finite number"),
        ("model.std=[0,0,0]", r"std\[0\] must be above 0"),
        ("train.betas=[0.9]", "train.betas must be a list of 2 numbers"),
        ("train.seed=1e23", "train.seed must be a whole number"),
        ("train.seed=100000000000000000000000", "train.seed must be at most"),
        ("train.precision=16-true", "train.precision must be one of"),
        ("train.compile=maybe", "train.compile must be one of"),
    ],
)
def test_bad_options_are_one_sentence(options, bad, message):
    with pytest.raises(UsageError, match=message):
        train.main([bad] if bad.startswith("resume=") else [*options, bad])
    assert not Path("outputs").exists()


def test_bad_option_from_the_shell(tmp_path):
    result = command("train.epoch=3", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs g++")
def test_two_processes_train_as_one(options, tmp_path):
    """Two CPU processes share each batch, compiled; every line, card and score comes once, and the loss is of both."""
    options = [*options, "train.validate_every=0.01", "train.epochs=1", "train.precision=32-true"]
    arguments = [*options, "train.devices=2", "train.compile=true", "run=pair"]
    result = command(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("masked PSNR") == 1
    assert result.stdout.count("Training et") == 1
    assert read_history("pair")[0]["train_loss"] == pytest.approx(first_loss(options, processes=2), rel=1e-4)
    train.main([*options, "train.devices=1", "run=alone"])
    pair, alone = (read_history(run)[-1] for run in ("pair", "alone"))
    assert pair["images"] == alone["images"]
    assert pair["masked_mse"] == pytest.approx(alone["masked_mse"], rel=0.1)  # other masks, the same images


def first_loss(options, processes):
    """The mean of what the processes' shares of the first batch cost, before any step."""
    config = load_options(train.TrainOptions, options)
    recipe, dataset = config.train, etviz.load_dataset(config.dataset.name)
    model = train.build_model(config.model, dataset, recipe.seed)
    order = batches.epoch_order(training.validation_split(dataset, recipe)[0], recipe.seed, 0)
    step = training.TrainStep(model, recipe.flip, recipe.crop)
    state = training.State(model, recipe, 11, 11, None)
    shares = [batches.draw_batch(order, state, rank, processes) for rank in range(processes)]
    losses = [step(dataset.train_images, share).item() for share in shares]
    assert abs(losses[0] - losses[1]) > 1e-3  # or this would show nothing
    return sum(losses) / processes


def test_ctrl_c_on_the_first_process_stops_both(options, tmp_path):
    """As by `kill`, or where a launcher starts the others elsewhere: neither waits for the other for ever."""
    arguments = [*options, "train.devices=2", "train.precision=32-true", "train.epochs=5000", "run=pair"]
    process = subprocess.Popen(
        [sys.executable, "-m", "etviz.train", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not Path("pair/history.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "resume=pair" in out
    assert (Path("pair") / LAST / STATE).is_file()


def test_a_run_folder_that_cannot_be_made(options, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be made"):
        train.main([*options, "run=file/run"])


@pytest.mark.parametrize("left", ["RANK=1", "LOCAL_RANK=1", "SLURM_PROCID=3"])
def test_a_rank_that_is_left_over_decides_nothing(left, options, tmp_path):
    """Without a launcher's other variables, one process trains and saves, and says what it did not listen to."""
    name, value = left.split("=")
    result = command(*options, "run=mine", "test=false", cwd=tmp_path, environment={name: value})
    assert result.returncode == 0, result.stderr
    assert f"One process trains: {left} is set" in result.stdout
    assert (tmp_path / "mine" / LAST / STATE).is_file()
    assert (tmp_path / "mine" / "model.safetensors").is_file()


@pytest.mark.slow
def test_torchrun_on_a_cpu_trains_together(options, tmp_path):
    """Two processes that nobody gave devices share one run, and refuse a number that is not theirs."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "etviz.train", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = dict(cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    result = subprocess.run([*torchrun, "run=pair", "train.precision=32-true"], check=False, **arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("2 processes train together") == 1
    assert result.stdout.count("masked PSNR") == 1
    assert [folder.name for folder in tmp_path.iterdir() if (folder / LAST).is_dir()] == ["pair"]
    refused = subprocess.run([*torchrun, "run=other", "train.devices=1"], check=False, **arguments)
    assert refused.returncode != 0
    assert "torchrun started 2 processes, but train.devices=1" in refused.stderr


def test_a_run_folder_that_another_process_holds(options):
    holding = textwrap.dedent("""
        import sys
        from pathlib import Path
        from etviz.training import claim
        with claim(Path("mine")):
            print("held", flush=True)
            sys.stdin.read()
    """)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, "-c", holding], env=environment, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=r"Another process trains in 'mine'"):
            train.main([*options, "run=mine"])
        process.kill()
        process.wait()
        train.main([*options, "run=mine", "test=false"])  # a lock ends with its process
    assert read_history("mine")


def test_what_a_run_left_that_was_killed_at_once_is_no_run(options):
    """It has no options yet: the same command starts it anew, where `resume=` could not."""
    (Path("mine") / LAST).mkdir(parents=True)
    (Path("mine") / LAST / f".{STATE}.99.tmp").write_text("half")
    train.main([*options, "run=mine", "test=false"])
    assert read_history("mine")
    assert not list(Path("mine").rglob("*.tmp"))


def test_ctrl_c_while_importing_prints_no_traceback(tmp_path):
    """A library that takes long to load stands in for the real one, so that Ctrl-C surely comes in between."""
    (tmp_path / "torch.py").write_text('import time\nprint("loading", flush=True)\ntime.sleep(100)\n')
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, "-m", "etviz.train"], env=environment, **pipes) as process:
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == err == ""
    assert process.returncode != 0
