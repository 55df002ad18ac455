import itertools
import math
import os
import shutil
import signal
import threading

import pytest
import torch
from torch.nn.functional import mse_loss

import etviz
from etviz import UsageError, checkpoints, devices, files, training
from etviz.metrics import evaluate_model, evaluation_masks
from etviz.training import Callback, ProgressBar, TensorBoard, TrainConfig, batches, fit, loop
from tests.conftest import TINY, TINY_ASYM

QUICK = dict(batch_size=16, lr=3e-3, validation_images=20, log_every=3, snapshots=3, accelerator="cpu")


VIT = dict(embed_dim=16, depth=2, num_heads=2)
OPTIONS = {"et": TINY, "et_asym": TINY_ASYM, "beit": VIT | dict(drop_path=0.3)}
OPTIONS["mixedae"] = VIT | dict(decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)


def tiny(name: str = "et"):
    torch.manual_seed(0)
    return etviz.create_model(name, **OPTIONS[name])


@pytest.fixture
def squares(archive):
    return etviz.load_dataset(str(archive))


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


class InterruptAt(Callback):
    """Ctrl-C, as a person would press it, after some step."""

    def __init__(self, step):
        self.step = step

    def on_log(self, state):
        if state.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("name", ["et", "et_asym"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("stop", [11, 6])  # at the end of the first epoch, and in the middle of it
def test_resume_is_bit_for_bit(name, precision, stop, squares, tmp_path):
    config = TrainConfig(epochs=2, precision=precision, **QUICK)
    straight = tiny(name)
    history = fit(straight, squares, config, tmp_path / "straight").history

    with pytest.raises(KeyboardInterrupt):
        fit(tiny(name), squares, config, tmp_path / "stopped", [InterruptAt(stop)])
    resumed = tiny(name)
    state = fit(resumed, squares, config, tmp_path / "stopped", resume=True)

    assert torch.equal(weights(straight), weights(resumed))
    assert [row["masked_mse"] for row in state.history] == [row["masked_mse"] for row in history]
    kept = [checkpoints.read_tensors(tmp_path / run / "model.safetensors") for run in ("straight", "stopped")]
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[0])


@pytest.mark.parametrize("name", ["mixedae", "beit"])  # one draws mixtures, the other leaves layers out
def test_models_that_draw_at_random_resume_bit_for_bit(name, squares, tmp_path):
    config = TrainConfig(epochs=2, precision="32-true", **QUICK)
    straight, resumed = tiny(name), tiny(name)
    fit(straight, squares, config, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(name), squares, config, tmp_path / "stopped", [InterruptAt(6)])
    torch.manual_seed(99)  # another process would have drawn something else
    fit(resumed, squares, config, tmp_path / "stopped", resume=True)
    assert torch.equal(weights(straight), weights(resumed))


def test_run_folder(squares, tmp_path):
    state = fit(tiny(), squares, TrainConfig(epochs=3, **QUICK), tmp_path, [TensorBoard(torch.rand(2, 3, 32, 32))])
    names = {p.name for p in tmp_path.iterdir()}
    assert {"model.safetensors", "config.yaml", "card.json", "history.csv", "snapshots", "last"} <= names
    assert any(name.startswith("events.out") for name in names)
    assert training.read_history(tmp_path) == state.history
    assert [row["step"] for row in state.history] == [11, 22, 33]
    card = checkpoints.load_card(tmp_path)
    best = min(state.history, key=lambda row: row["masked_mse"])
    assert card["images_seen"] == best["images"]
    assert card["metrics"]["validation"]["masked_mse"] == best["masked_mse"]
    assert len(checkpoints.list_snapshots(tmp_path)) == 3
    etviz.load_model(tmp_path)


def test_best_weights_are_those_of_the_best_validation(squares, tmp_path):
    """The saved weights score exactly what their row of the history says, on the held-out images."""
    config = TrainConfig(epochs=3, precision="32-true", **QUICK)
    history = fit(tiny(), squares, config, tmp_path).history
    held_out = squares.train_images[training.holdout_split(200, 20)[1]]
    scores = evaluate_model(etviz.load_model(tmp_path), held_out, mask_seed=training.MASK_SEED)
    assert scores["masked_mse"] == min(row["masked_mse"] for row in history)


def scores_in_turn(monkeypatch, *errors):
    """Validations score as told, so that which weights are best is known."""
    told = iter(errors)

    def evaluate(*args, **kwargs):
        error = next(told)
        return {"masked_mse": error, "masked_psnr": -10 * math.log10(error)}

    monkeypatch.setattr(loop, "evaluate_model", evaluate)


def test_only_a_better_validation_replaces_the_best_weights(squares, tmp_path, monkeypatch):
    scores_in_turn(monkeypatch, 0.3, 0.1, 0.2)
    state = fit(tiny(), squares, TrainConfig(epochs=3, **QUICK), tmp_path)
    assert checkpoints.load_card(tmp_path)["epochs"] == 2
    assert state.best_mse == 0.1
    last = checkpoints.read_tensors(tmp_path / "last" / "state.safetensors")["model.embed.weight"]
    assert not torch.equal(etviz.load_model(tmp_path).embed.weight, last)


def test_the_best_survives_a_resume(squares, tmp_path, monkeypatch):
    config = TrainConfig(epochs=3, **QUICK)
    scores_in_turn(monkeypatch, 0.1, 0.2, 0.15)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, config, tmp_path, [InterruptAt(15)])
    fit(tiny(), squares, config, tmp_path, resume=True)
    assert checkpoints.load_card(tmp_path)["epochs"] == 1


def test_weights_that_are_no_longer_finite_are_not_saved(squares, tmp_path, monkeypatch):
    scores_in_turn(monkeypatch, 0.1, math.nan, 0.1)
    with pytest.raises(UsageError, match="no longer finite"):
        fit(tiny(), squares, TrainConfig(epochs=3, **QUICK), tmp_path)
    assert checkpoints.read_metadata(tmp_path / "last" / "state.safetensors")["step"] == "11"


def test_flips_are_half_and_crops_reach_everywhere():
    state = training.State(tiny(), TrainConfig(batch_size=4000), 100, 1, None)
    _, flip, offset, *_ = batches.draw_batch(torch.arange(4000), state, 0, 1)
    assert 0.45 < flip.float().mean() < 0.55
    assert offset.unique().tolist() == list(range(9))


def test_flips_and_crops_can_be_switched_off():
    state = training.State(tiny(), TrainConfig(flip=False, crop=False), 100, 1, None)
    _, flip, offset, *_ = batches.draw_batch(torch.arange(128), state, 0, 1)
    assert not flip.any()
    assert (offset == training.CROP_PADDING).all()


def test_held_out_images_are_never_trained_on(squares):
    seen = []

    class Spy(Callback):
        def on_log(self, state):
            train_index, _ = training.holdout_split(200, 20)
            order = batches.epoch_order(train_index, state.config.seed, (state.step - 1) // state.steps_per_epoch)
            seen.extend(order.tolist())

    fit(tiny(), squares, TrainConfig(epochs=2, **QUICK), callbacks=[Spy()])
    assert not set(seen) & set(training.holdout_split(200, 20)[1].tolist())
    assert len(set(seen)) == 180


def test_batches_cover_an_epoch_once_and_differ_by_seed():
    config = TrainConfig(**QUICK)
    state = training.State(tiny(), config, 100, 11, None)
    order = batches.epoch_order(torch.arange(180), 0, 0)
    drawn = []
    for step in range(11):
        state.step = step
        drawn.append(batches.draw_batch(order, state, 0, 1))
    indices = torch.cat([batch[0] for batch in drawn])
    assert len(indices.unique()) == len(indices) == 176
    noise = torch.stack([batch[3] for batch in drawn])
    assert len(noise.flatten().unique()) > 0.999 * noise.numel()
    assert not torch.equal(order, batches.epoch_order(torch.arange(180), 1, 0))
    assert not torch.equal(order, batches.epoch_order(torch.arange(180), 0, 1))


def test_processes_share_a_batch_without_overlap():
    state = training.State(tiny(), TrainConfig(**QUICK), 100, 11, None)
    order = torch.arange(180)
    shares = [batches.draw_batch(order, state, rank, 2) for rank in range(2)]
    assert sorted(torch.cat([share[0] for share in shares]).tolist()) == list(range(16))
    assert not torch.equal(shares[0][3], shares[1][3])


def test_first_step_is_adamw_on_the_models_own_loss(squares):
    """One step of fit against the same step written out."""
    config = TrainConfig(
        epochs=1, precision="32-true", clip=0.1, decay="all", **(QUICK | dict(batch_size=180, snapshots=0))
    )
    trained = tiny()
    state = fit(trained, squares, config)

    model = tiny()
    train_index, _ = training.holdout_split(200, 20)
    order = batches.epoch_order(train_index, 0, 0)
    index, flip, offset, noise, *_ = batches.draw_batch(order, training.State(model, config, 1, 1, None), 0, 1)
    batch = etviz.data.augment(squares.train_images[index].float() / 255, flip, offset)
    hidden = noise.argsort(1)[:, :54]
    mask = torch.zeros(180, 64, dtype=torch.bool).scatter(1, hidden, True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.999), weight_decay=1e-4)
    loss = mse_loss(model.predict_patches(batch, mask)[mask], model.to_patches(batch)[mask])
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    assert state.train_loss == pytest.approx(loss.item(), rel=1e-5)
    assert state.gradient_norm == pytest.approx(norm.item(), rel=1e-4)
    torch.testing.assert_close(weights(trained), weights(model), atol=1e-5, rtol=1e-4)


def test_steps_are_adamws_at_the_scheduled_rates(squares):
    """Warm-up, cosine and weight decay as the optimizer takes them: four steps of fit against the same written out."""
    options = dict(
        batch_size=45, snapshots=0, lr=1e-2, min_lr=1e-3, warmup_steps=2, weight_decay=2.0, decay="all", clip=1e9
    )
    config = TrainConfig(epochs=1, precision="32-true", flip=False, crop=False, **(QUICK | options))
    trained = tiny()
    fit(trained, squares, config)

    model = tiny()
    order = batches.epoch_order(training.holdout_split(200, 20)[0], 0, 0)
    parameters = list(model.parameters())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    for step, lr in enumerate([5e-3, 1e-2, 1e-2, 1e-3 + 9e-3 / 2]):
        index, _, _, noise, *_ = batches.draw_batch(order, training.State(model, config, 4, 4, None, step=step), 0, 1)
        batch = squares.train_images[index].float() / 255
        mask = torch.zeros(45, 64, dtype=torch.bool).scatter(1, noise.argsort(1)[:, :54], True)
        loss = mse_loss(model.predict_patches(batch, mask)[mask], model.to_patches(batch)[mask])
        with torch.no_grad():
            for p, g, (m, v) in zip(parameters, torch.autograd.grad(loss, parameters), moments, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                p.mul_(1 - lr * 2.0)  # weight decay
                p.sub_(lr * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8))
    torch.testing.assert_close(weights(trained), weights(model), atol=2e-4, rtol=1e-3)


def test_validation_masks_are_fixed_and_not_the_test_seed():
    assert training.MASK_SEED != 0
    assert torch.equal(evaluation_masks(5, mask_seed=1), evaluation_masks(9, mask_seed=1)[:5])


def test_learning_rate_warms_up_and_ends_at_min_lr():
    config = TrainConfig(lr=1.0, min_lr=0.1, warmup_steps=10)
    rates = [training.learning_rate(step, 110, config) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_snapshots_are_log_spaced():
    steps = sorted(training.snapshot_steps(375_000, 375, 8))
    assert len(steps) == 8
    assert (steps[0], steps[-1]) == (37, 375_000)
    ratios = [b / a for a, b in itertools.pairwise(steps)]
    assert max(ratios) / min(ratios) < 1.05
    assert training.snapshot_steps(100, 10, 0) == set()
    assert max(training.snapshot_steps(3, 300, 8)) == 3


@pytest.mark.parametrize("every", [0.3, 1.0, 1.5, 2.0, 5.5, 7.3, 1000.0])
def test_milestones_are_the_rounded_multiples_and_the_last_step(every):
    expected = {max(1, round(i * every)) for i in range(1, int(100 / every) + 1)} | {100}
    assert {step for step in range(1, 101) if training.is_milestone(step, every, 100)} == expected


def test_an_endless_recipe_starts_at_once(squares, tmp_path):
    """Neither a huge number of epochs nor a tiny share of one is counted out beforehand."""
    config = TrainConfig(epochs=10**15, validate_every=1e-9, **(QUICK | dict(log_every=1)))
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, config, tmp_path, [InterruptAt(2)])
    assert [row["step"] for row in training.read_history(tmp_path)] == [1, 2]


def test_reference_recipe_is_the_default():
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.lr, config.min_lr) == (1000, 128, 5e-5, 1e-6)
    assert (tuple(config.betas), config.weight_decay, config.clip, config.ratio) == ((0.9, 0.999), 1e-4, 1.0, 0.85)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(epochs=0), "train.epochs must be at least 1"),
        (dict(ratio=1.5), "between 0 and 1"),
        (dict(lr=0), "train.lr must be above 0"),
        (dict(lr=math.nan), "train.lr must be a finite number"),
        (dict(lr="fast"), "train.lr must be a finite number, not 'fast'"),
        (dict(seed=-1), "train.seed"),
        (dict(seed=1e23), "train.seed must be a whole number"),
        (dict(seed=2**63), "train.seed must be at most"),
        (dict(epochs=True), "train.epochs must be a whole number"),
        (dict(betas=[0.9]), r"train.betas must be a list of 2 numbers, not \[0.9\]"),
        (dict(betas=0.9), "train.betas must be a list"),
        (dict(betas=[0.9, 1.0]), r"train.betas\[1\] must be below 1"),
        (dict(flip="yes"), "train.flip must be true or false"),
        (dict(snapshots=10**9), "train.snapshots must be at most 1,000"),
        (dict(validate_every=math.inf), "train.validate_every must be a finite number"),
        (dict(accelerator="tpu"), "train.accelerator must be one of auto, cpu, cuda, mps, not 'tpu'"),
        (dict(compile="maybe"), "train.compile must be one of auto, true, false"),
        (dict(compile=1), "train.compile must be one of auto, true, false"),
        (dict(precision="bf16-true"), "train.precision must be one of auto, 32-true, bf16-mixed"),
        (dict(precision="16-true"), "train.precision must be one of"),
        (dict(precision="transformer-engine"), "train.precision must be one of"),
        (dict(learning_rate=1), "no option train.learning_rate"),
        ({5: 1}, "no option train.5"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(UsageError, match=message):
        training.train_config(options)


def test_batch_larger_than_the_data(squares):
    with pytest.raises(UsageError, match="more than the 180 images"):
        fit(tiny(), squares, TrainConfig(**(QUICK | dict(batch_size=500))))


def test_devices_that_are_not_there(squares):
    with pytest.raises(UsageError, match="cannot be used here"):
        fit(tiny(), squares, TrainConfig(**QUICK, devices="several"))


def test_divergence_is_said_and_the_best_weights_kept(squares, tmp_path):
    with pytest.raises(UsageError, match=r"no longer finite.*lower train\.lr"):
        fit(tiny(), squares, TrainConfig(epochs=50, clip=1e30, **(QUICK | dict(lr=1e25))), tmp_path)


def test_callbacks_are_told_of_the_end_of_a_failed_run(squares):
    ended = []

    class Ending(Callback):
        def on_end(self, state):
            ended.append(state.step)

    with pytest.raises(UsageError, match="no longer finite"):
        fit(tiny(), squares, TrainConfig(epochs=50, clip=1e30, **(QUICK | dict(lr=1e25))), callbacks=[Ending()])
    assert len(ended) == 1


def test_snapshots_say_when_they_were_taken(squares, tmp_path):
    fit(tiny(), squares, TrainConfig(epochs=3, **QUICK), tmp_path)
    last = checkpoints.list_snapshots(tmp_path)[-1]
    assert checkpoints.snapshot_metadata(tmp_path, last) == {"epoch": "3", "images": str(33 * 16)}


def test_nothing_to_resume(squares, tmp_path):
    with pytest.raises(UsageError, match="no file"):
        fit(tiny(), squares, TrainConfig(**QUICK), tmp_path, resume=True)


def stopped_run(squares, run, step=15, **options):
    """A run of three epochs of 11 steps, interrupted in the second."""
    config = TrainConfig(epochs=3, **(QUICK | options))
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, config, run, [InterruptAt(step)])
    return config


def test_seconds_go_on_where_they_stopped(squares, tmp_path):
    config = stopped_run(squares, tmp_path)
    before = float(checkpoints.read_metadata(tmp_path / "last" / training.STATE)["seconds"])
    started = []

    class Start(Callback):
        def on_start(self, state):
            started.append(state.seconds)

    state = fit(tiny(), squares, config, tmp_path, [Start()], resume=True)
    assert started == [before]
    assert state.seconds > before > 0
    assert state.history[-1]["seconds"] == pytest.approx(state.seconds, abs=0.01)


def test_history_beyond_the_resumed_step_is_dropped(squares, tmp_path):
    """Killed after it wrote the history, before it wrote the last state: the step is made again, not counted twice."""
    config = stopped_run(squares, tmp_path)
    path = tmp_path / "history.csv"
    header, row = path.read_text().splitlines()
    path.write_text("\n".join([header, row, row.replace("11,", "22,", 1), ""]))
    assert [row["step"] for row in training.read_history(tmp_path)] == [11, 22]
    state = fit(tiny(), squares, config, tmp_path, resume=True)
    assert [row["step"] for row in state.history] == [11, 22, 33]


def test_other_data_cannot_be_resumed(squares, tmp_path):
    config = stopped_run(squares, tmp_path)
    for images in (squares.train_images[:-1], squares.train_images ^ (torch.arange(200) == 7).view(-1, 1, 1, 1)):
        other = etviz.data.Dataset(**(vars(squares) | dict(train_images=images)))
        with pytest.raises(UsageError, match="was trained on 200 images"):
            fit(tiny(), other, config, tmp_path, resume=True)
    fit(tiny(), squares, config, tmp_path, resume=True)


@pytest.mark.parametrize("part", ["rng.cpu", "optimizer.exp_avg_sq.embed.weight", "model.embed.bias", "best_mse"])
def test_a_last_state_that_lacks_a_part_is_one_sentence(squares, tmp_path, part):
    config = stopped_run(squares, tmp_path)
    path = tmp_path / "last" / training.STATE
    tensors, metadata = checkpoints.read_tensors(path), checkpoints.read_metadata(path)
    tensors.pop(part, None), metadata.pop(part, None)
    checkpoints.write_tensors(path, tensors, metadata)
    with pytest.raises(UsageError, match="is incomplete or does not belong to this model"):
        fit(tiny(), squares, config, tmp_path, resume=True)


def test_moments_of_another_shape_are_one_sentence(squares, tmp_path):
    config = stopped_run(squares, tmp_path)
    path = tmp_path / "last" / training.STATE
    tensors = checkpoints.read_tensors(path) | {"optimizer.exp_avg.embed.weight": torch.zeros(2)}
    checkpoints.write_tensors(path, tensors, checkpoints.read_metadata(path))
    with pytest.raises(UsageError, match="instead of"):
        fit(tiny(), squares, config, tmp_path, resume=True)


@pytest.mark.parametrize("text", ["step,masked_mse\n1\n", "a,b\n1,2\n", "step,x\n1,y\n", "\0\0"])
def test_a_damaged_history_is_one_sentence(tmp_path, text):
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(UsageError, match="damaged or no history"):
        training.read_history(tmp_path)


def test_what_a_killed_write_left_is_swept(squares, tmp_path):
    config = stopped_run(squares, tmp_path)
    left = [tmp_path / ".history.csv.99.tmp", tmp_path / "last" / ".state.safetensors.99.tmp"]
    kept = tmp_path / "notes.tmp"
    for path in [*left, kept]:
        path.write_text("half")
    fit(tiny(), squares, config, tmp_path, resume=True)
    assert not any(path.exists() for path in left)
    assert kept.exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_card_states_the_precision(squares, tmp_path, precision):
    fit(tiny(), squares, TrainConfig(epochs=1, precision=precision, **QUICK), tmp_path)
    assert checkpoints.load_card(tmp_path)["precision"] == precision


def test_the_card_states_what_auto_became(squares, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: True)
    fit(tiny(), squares, TrainConfig(epochs=1, **QUICK), tmp_path)
    assert checkpoints.load_card(tmp_path)["precision"] == "bf16-mixed"


def test_another_models_run_cannot_be_resumed(squares, tmp_path):
    fit(tiny(), squares, TrainConfig(epochs=1, **QUICK), tmp_path)
    with pytest.raises(UsageError, match=r"model\.name=et, not et_asym"):
        fit(tiny("et_asym"), squares, TrainConfig(epochs=1, **QUICK), tmp_path, resume=True)


def test_state_and_norm_stay_float32_under_bf16(images, mask):
    model = tiny()
    with torch.autocast("cpu", torch.bfloat16):
        trace = model.trace(images, mask)
        assert model.loss(images, mask).dtype == torch.float32
    assert trace.tokens.dtype == trace.energy.dtype == trace.gradient_norm.dtype == torch.float32


def test_progress_bar_shows_speed_and_time_left(squares, capsys):
    fit(tiny(), squares, TrainConfig(epochs=2, **QUICK), callbacks=[ProgressBar()])
    shown = capsys.readouterr().out
    last = shown.strip().splitlines()[-1]
    for part in ("epoch 2.00/2", "images/s", "loss ", "dB", "0:00:00 left"):
        assert part in last


@pytest.mark.timeout(240)
def test_a_tiny_model_learns_real_images(cifar10):
    """A few hundred steps beat the fill with each image's visible mean, on images held out of training."""
    torch.manual_seed(0)
    model = etviz.create_model("et", embed_dim=64, num_heads=2, head_dim=32, step_size=0.1, init_scale=0.1)
    config = TrainConfig(
        epochs=1, batch_size=32, lr=5e-3, betas=(0.9, 0.95), warmup_steps=50, validation_images=500, accelerator="cpu"
    )
    few = etviz.data.Dataset(**(vars(cifar10) | dict(train_images=cifar10.train_images[:10_100])))
    state = fit(model, few, config)
    held_out = few.train_images[training.holdout_split(10_100, 500)[1]]
    masks = evaluation_masks(500, mask_seed=training.MASK_SEED)
    pixels = masks.reshape(-1, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    originals = held_out.float() / 255
    visible_mean = (originals * ~pixels).sum((2, 3)) / (~pixels).sum((2, 3))  # (B, C)
    error = (originals - visible_mean[:, :, None, None]).square()
    floor = torch.stack([e[:, p[0]].mean() for e, p in zip(error, pixels, strict=True)]).mean()
    assert state.history[-1]["masked_mse"] < 0.95 * floor


def scalars(folder, tag):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [(event.step, event.value) for event in EventAccumulator(str(folder)).Reload().Scalars(tag)]


def test_tensorboard_has_one_file_and_every_point_over_resumes(squares, tmp_path):
    """Stopped twice, once right after a log: no point is lost, doubled or of another value than in one go."""
    config = TrainConfig(epochs=2, **QUICK)
    boards = [TensorBoard(squares.train_images[:2] / 255) for _ in range(4)]
    fit(tiny(), squares, config, tmp_path / "straight", [boards[0]])
    for board, stop in ((boards[1], 6), (boards[2], 12)):
        resume = (tmp_path / "stopped").exists()
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), squares, config, tmp_path / "stopped", [board, InterruptAt(stop)], resume=resume)
    fit(tiny(), squares, config, tmp_path / "stopped", [boards[3]], resume=True)
    assert len(list((tmp_path / "stopped").glob("events.*"))) == 1
    for tag in ("train/loss", "train/lr", "validation/masked_mse"):
        assert scalars(tmp_path / "stopped", tag) == scalars(tmp_path / "straight", tag)


def test_an_event_file_that_was_cut_is_taken_over_as_far_as_it_goes(squares, tmp_path):
    config = TrainConfig(epochs=1, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, config, tmp_path, [TensorBoard(squares.train_images[:2] / 255), InterruptAt(9)])
    (events,) = tmp_path.glob("events.*")
    events.write_bytes(events.read_bytes()[:-7])
    fit(tiny(), squares, config, tmp_path, [TensorBoard(squares.train_images[:2] / 255)], resume=True)
    assert [step for step, _ in scalars(tmp_path, "train/loss")][:2] == [3, 6]


class NotFinite(Callback):
    """Makes the gradients of some steps not a number, as a rare batch may."""

    def __init__(self, model, steps):
        self.steps, self.done = steps, 0
        next(model.parameters()).register_hook(self.spoil)

    def spoil(self, gradient):
        self.done += 1
        return gradient * math.nan if self.done in self.steps else gradient


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_without_a_finite_gradient_is_left_out_and_counted(optimizer, squares, tmp_path):
    """The weights, the moments and their average are what they were before that step."""
    config = TrainConfig(epochs=1, optimizer=optimizer, **(QUICK | dict(log_every=1)))
    model, seen = tiny(), []

    class Watch(Callback):
        def on_log(self, state):
            seen.append(weights(model).clone())

    state = fit(model, squares, config, tmp_path, [NotFinite(model, {3, 7}), Watch()])
    assert state.skipped == checkpoints.load_card(tmp_path)["steps_left_out"] == 2
    still = [step for step in range(2, len(seen) + 1) if seen[step - 1].equal(seen[step - 2])]
    assert still == [3, 7]
    assert math.isfinite(state.train_loss)
    last = checkpoints.read_tensors(tmp_path / "last" / "state.safetensors")
    assert all(tensor.isfinite().all() for tensor in last.values() if tensor.is_floating_point())


def test_ten_steps_in_a_row_without_a_finite_gradient_end_the_run(squares, tmp_path):
    config = TrainConfig(epochs=4, **QUICK)
    model = tiny()
    with pytest.raises(UsageError, match=r"11 steps in a row up to step 24: lower train\.lr"):
        fit(model, squares, config, tmp_path, [NotFinite(model, set(range(14, 60)))])
    assert int(checkpoints.read_metadata(tmp_path / "last" / "state.safetensors")["step"]) == 22
    nine = tiny()
    fit(nine, squares, config, callbacks=[NotFinite(nine, set(range(14, 23)))])  # nine are borne


def test_a_run_killed_before_its_first_validation_is_resumed(squares, tmp_path):
    class Killed(Exception):
        pass

    class Kill(Callback):
        def on_log(self, state):
            raise Killed

    config = TrainConfig(epochs=1, **QUICK)
    straight = tiny()
    fit(straight, squares, config, tmp_path / "straight")
    with pytest.raises(Killed):
        fit(tiny(), squares, config, tmp_path / "killed", [Kill()])
    resumed = tiny()
    fit(resumed, squares, config, tmp_path / "killed", resume=True)
    assert weights(resumed).equal(weights(straight))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(epochs=1), "train.epochs=2, not 1"),
        (dict(lr=1e-3), "train.lr=0.003, not 0.001"),
        (dict(seed=4), "train.seed=0, not 4"),
        (dict(mask_shapes={"random": 1.0}), "train.mask_shapes"),
    ],
)
def test_a_resumed_run_keeps_its_recipe(change, message, squares, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, TrainConfig(epochs=2, **QUICK), tmp_path, [InterruptAt(6)])
    with pytest.raises(UsageError, match=message):
        fit(tiny(), squares, TrainConfig(**(dict(epochs=2) | QUICK | change)), tmp_path, resume=True)


def test_a_resumed_run_keeps_its_models_options(squares, tmp_path):
    """Weights of the same shapes would fit a model of other steps or another temperature too."""
    config = TrainConfig(epochs=2, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, config, tmp_path, [InterruptAt(6)])
    with pytest.raises(UsageError, match=r"model.step_size=.*give its config.yaml back"):
        fit(etviz.create_model("et", **TINY | dict(step_size=0.7)), squares, config, tmp_path, resume=True)


def test_what_is_noted_may_change_over_a_resume(squares, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, TrainConfig(epochs=2, **QUICK), tmp_path, [InterruptAt(6)])
    config = TrainConfig(epochs=2, validate_every=0.5, **(QUICK | dict(log_every=1, snapshots=0)))
    assert fit(tiny(), squares, config, tmp_path, resume=True).step == 22


def test_one_run_folder_one_process(squares, tmp_path):
    """A lock that the first holds from another thread, as another process would, until it ends."""
    inside, refused = threading.Event(), threading.Event()

    class Wait(Callback):
        def on_start(self, state):
            inside.set()
            assert refused.wait(60)

    config = TrainConfig(epochs=1, **QUICK)
    first = threading.Thread(target=fit, args=(tiny(), squares, config, tmp_path, [Wait()]))
    first.start()
    assert inside.wait(60)
    try:
        for resume in (True, False):
            with pytest.raises(UsageError, match="Another process trains"):
                fit(tiny(), squares, config, tmp_path, resume=resume)
    finally:
        refused.set()
        first.join()
    assert fit(tiny(), squares, config, tmp_path, resume=True).step == 11


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_save_as_ctrl_c_does(name, squares, tmp_path):
    class Send(Callback):
        def on_log(self, state):
            if state.step == 6:
                for _ in range(3):  # schedulers repeat themselves
                    os.kill(os.getpid(), getattr(signal, name))

    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, TrainConfig(epochs=2, **QUICK), tmp_path, [Send()])
    assert int(checkpoints.read_metadata(tmp_path / "last" / "state.safetensors")["step"]) == 6
    assert signal.getsignal(getattr(signal, name)) is before


@pytest.mark.parametrize("broken", [28, 30, 5])  # no space left, read-only, input/output error
def test_a_disk_that_takes_no_more_is_one_sentence(broken, squares, tmp_path, monkeypatch):
    """The state before it is whole, and the run goes on once there is room."""
    config = TrainConfig(epochs=2, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), squares, config, tmp_path, [InterruptAt(6)])
    before = (tmp_path / "last" / "state.safetensors").read_bytes()

    def fail(descriptor):
        raise OSError(broken, os.strerror(broken))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fail)
        with pytest.raises(UsageError, match=rf"no longer be written to: {os.strerror(broken)}.*step 6 is whole"):
            fit(tiny(), squares, config, tmp_path, resume=True)
    assert (tmp_path / "last" / "state.safetensors").read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))
    assert fit(tiny(), squares, config, tmp_path, resume=True).step == 22


def test_a_run_folder_that_vanishes_comes_back(squares, tmp_path):
    class Remove(Callback):
        def on_log(self, state):
            if state.step == 6:
                shutil.rmtree(tmp_path / "run")

    model = tiny()
    fit(model, squares, TrainConfig(epochs=1, **QUICK), tmp_path / "run", [Remove()])
    assert weights(etviz.load_model(tmp_path / "run")).equal(weights(model))
    assert (tmp_path / "run" / "last" / "state.safetensors").is_file()
