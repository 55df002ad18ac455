"""Probing: labels by share, intervals, features by step, fine-tuning, and the command."""

import json
import math

import numpy as np
import pytest
import torch
from rich.progress import Progress

import etviz
from etviz import UsageError
from etviz.checkpoints import save_checkpoint
from etviz.evaluation.features import (
    accuracy_interval,
    extract_features,
    extract_pools,
    features_by_step,
    knn_accuracy,
    label_subset,
    linear_accuracy,
)
from etviz.evaluation.finetuning import finetune_accuracy
from etviz.probe import (
    HELD_OUT,
    ProbeOptions,
    Split,
    best_steps,
    hold_out,
    in_percent,
    main,
    make_plan,
    measure,
    tsne,
    untrained,
)
from tests.conftest import TINY


@pytest.fixture(scope="module")
def sets():
    """Noisy pictures of three colours, 90 to learn from and 45 to test on."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(135) % 3
    colours = torch.tensor([[60, 120, 90], [120, 60, 90], [90, 90, 140]])[labels][:, :, None, None]
    images = (colours + 40 * torch.randn(135, 3, 32, 32, generator=generator)).clamp(0, 255).to(torch.uint8)
    return images[:90], labels[:90], images[90:], labels[90:]


@pytest.fixture(scope="module")
def archive(tmp_path_factory, sets):
    path = tmp_path_factory.mktemp("data") / "colours.npz"
    names = ("train_images", "train_labels", "test_images", "test_labels")
    arrays = {
        name: (array.permute(0, 2, 3, 1) if array.ndim == 4 else array) for name, array in zip(names, sets, strict=True)
    }
    np.savez(path, **{name: array.numpy() for name, array in arrays.items()})
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, archive):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    torch.manual_seed(0)
    save_checkpoint(etviz.create_model("et", **TINY), folder, {"name": "tiny", "model": "et", "dataset": str(archive)})
    return folder


# ---- the parts ---------------------------------------------------------------------------------------------------


def test_a_share_of_the_labels_keeps_the_classes_in_proportion():
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 3)
    tenth, all_of_them = label_subset(labels, 0.1), label_subset(labels, 1.0)
    assert labels[tenth].bincount().tolist() == [6, 3, 1]
    assert all_of_them.tolist() == list(range(93))
    assert set(tenth.tolist()) <= set(label_subset(labels, 0.5).tolist())
    assert not torch.equal(tenth, label_subset(labels, 0.1, seed=1))
    for share in (0, -1, 1.5):
        with pytest.raises(UsageError, match="share of labels"):
            label_subset(labels, share)


def test_the_interval_is_wilsons():
    p, n, z = 0.42, 500, 1.959963984540054
    centre, width = (p + z**2 / (2 * n)), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(centre + sign * width) / (1 + z**2 / n) for sign in (-1, 1)]
    assert accuracy_interval(p, n) == pytest.approx(expected, abs=1e-9)
    assert accuracy_interval(1.0, 10)[1] == pytest.approx(1)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_features_by_step_end_at_the_models_own(tiny_model, sets, pool):
    images = sets[0][:7]
    found = features_by_step(tiny_model, images, batch_size=3, pool=pool)
    assert found.shape[:2] == (TINY["steps"] + 1, 7)
    torch.testing.assert_close(found[-1], extract_features(tiny_model, images, pool=pool), rtol=1e-4, atol=1e-5)
    if tiny_model.name == "et":  # a model of fewer steps is the same model, looked at earlier
        earlier = etviz.create_model("et", **TINY | {"steps": 2}).eval()
        earlier.load_state_dict(tiny_model.state_dict())
        torch.testing.assert_close(found[2], extract_features(earlier, images, pool=pool), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by_step", [False, True])
def test_one_pass_gives_what_each_pool_gives(tiny_model, sets, by_step):
    images, told = sets[0][:7], []
    found = extract_pools(tiny_model, images, by_step=by_step, batch_size=3, progress=lambda *now: told.append(now))
    assert found.keys() == {"mean", "cls"}
    assert told == [(3, 7), (6, 7), (7, 7)]
    for pool, features in found.items():
        last = features[-1] if by_step else features
        torch.testing.assert_close(last, extract_features(tiny_model, images, pool=pool), rtol=1e-4, atol=1e-5)


def test_a_model_without_a_cls_token_has_one_pool(sets):
    sizes = dict(embed_dim=8, depths=(1, 1), num_heads=(2, 2), window_size=4)
    model = etviz.create_model("simmim", **sizes)
    assert extract_pools(model, sets[0][:2]).keys() == {"mean"}
    with pytest.raises(UsageError, match="descends no energy"):
        extract_pools(model, sets[0][:2], by_step=True)


def test_features_by_step_need_a_descent(sets):
    model = etviz.create_model(
        "mae", embed_dim=16, depth=1, num_heads=2, decoder_embed_dim=16, decoder_num_heads=2, decoder_depth=1
    )
    with pytest.raises(UsageError, match="descends no energy"):
        features_by_step(model, sets[0][:2])
    with pytest.raises(UsageError, match="no pool 'max'"):
        features_by_step(etviz.create_model("et", **TINY), sets[0][:2], pool="max")


def test_fine_tuning_learns_and_leaves_the_model_as_it_was(sets):
    torch.manual_seed(0)
    model = etviz.create_model("et", **TINY).eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    told = []
    learned = finetune_accuracy(model, *sets, steps=40, batch_size=32, progress=lambda *step: told.append(step))
    assert learned > 0.9
    assert finetune_accuracy(model, *sets, steps=40, batch_size=32) == learned
    assert told[-1] == (40, 40)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not model.training
    shuffled = sets[1][torch.randperm(90, generator=torch.Generator().manual_seed(0))]
    assert finetune_accuracy(model, sets[0], shuffled, *sets[2:], steps=20, batch_size=32) < 0.7  # nothing to learn
    assert 0 <= finetune_accuracy(model, *sets, steps=1) <= 1


def test_what_fine_tuning_refuses(sets):
    model = etviz.create_model("et", **TINY)
    with pytest.raises(UsageError, match="90 train images and 89 labels"):
        finetune_accuracy(model, sets[0], sets[1][:-1], *sets[2:])
    with pytest.raises(UsageError, match="steps must be at least 1"):
        finetune_accuracy(model, *sets, steps=0)


def test_an_untrained_model_is_of_the_same_sizes_and_of_its_seed():
    model = etviz.create_model("et", **TINY)
    twins = [untrained(model, seed).state_dict() for seed in (0, 0, 1)]
    assert {name: weight.shape for name, weight in twins[0].items()} == {
        name: weight.shape for name, weight in model.state_dict().items()
    }
    assert all(torch.equal(twins[0][name], twins[1][name]) for name in twins[0])
    assert not all(torch.equal(twins[0][name], twins[2][name]) for name in twins[0])


def test_the_map_keeps_clusters_apart():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 2
    points = tsne(10.0 * labels[:, None] + torch.randn(60, 5, generator=generator), seed=0)
    apart = (points[labels == 0].mean(dim=0) - points[labels == 1].mean(dim=0)).norm()
    assert apart > 3 * points[labels == 0].std(dim=0).norm()
    with pytest.raises(UsageError, match="at least 4 images"):
        tsne(torch.zeros(3, 5), seed=0)


def test_the_best_step_is_chosen_without_the_test_labels():
    def entry(step, held_out, accuracy, classifier="linear"):
        return {"step": step, "pool": "mean", "classifier": classifier, "held_out": held_out, "accuracy": accuracy}

    by_step = [entry(0, 0.5, 0.4), entry(1, 0.7, 0.3), entry(2, 0.6, 0.9), entry(3, 0.7, 0.8)]
    by_step += [entry(0, None, 0.4, "k-NN"), entry(1, None, 0.5, "k-NN")]
    assert best_steps(by_step) == [by_step[1]]


def test_held_out_labels_keep_their_proportions_and_are_not_learned_from():
    labels = torch.tensor([0] * 50 + [1] * 30)
    learned, held = hold_out(labels, seed=0)
    assert sorted([*learned.tolist(), *held.tolist()]) == list(range(80))
    assert labels[held].bincount().tolist() == [round(HELD_OUT * 50), round(HELD_OUT * 30)]
    assert len(hold_out(torch.tensor([0, 1]), seed=0)[1]) == 0  # each class needs one to learn from


# ---- the command -------------------------------------------------------------------------------------------------

QUICK = ("labels=[0.1,1]", "finetune_steps=2", "tsne_images=20")


def test_the_command_measures_what_it_says(checkpoint, sets, tmp_path, capsys):
    main([str(checkpoint), *QUICK, f"out={tmp_path / 'probe'}"])
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert json.loads((tmp_path / "probe" / "probe.json").read_text()) == result
    assert (tmp_path / "probe" / "features.png").stat().st_size < 1_000_000
    assert (tmp_path / "probe" / "steps.png").read_bytes().startswith(b"\x89PNG")

    rows = {(r["features"], r["pool"], r["classifier"], r["labels"]): r for r in result["rows"]}
    name = str(checkpoint)
    kinds = {(f, p) for f in (name, "untrained") for p in ("mean", "cls")} | {("pixels", "none")}
    assert rows.keys() == {(*kind, c, s) for kind in kinds for c in ("k-NN", "linear") for s in (0.1, 1.0)} | {
        (f, "mean", "fine-tuned", s) for f in (name, "untrained") for s in (0.1, 1.0)
    }
    pixels = [sets[i].flatten(1).double().numpy() for i in (0, 2)]
    from sklearn.neighbors import KNeighborsClassifier

    scaled = [(part - pixels[0].mean(0)) / pixels[0].std(0) for part in pixels]
    votes = KNeighborsClassifier(20, metric="cosine").fit(scaled[0], sets[1]).score(scaled[1], sets[3])
    assert rows["pixels", "none", "k-NN", 1.0]["accuracy"] == pytest.approx(votes)

    model = etviz.load_model(name)
    train, test = extract_features(model, sets[0]), extract_features(model, sets[2])
    for classifier, accuracy in (("k-NN", knn_accuracy), ("linear", linear_accuracy)):
        found = rows[name, "mean", classifier, 1.0]
        assert found["accuracy"] == pytest.approx(accuracy(train, sets[1], test, sets[3]))
        assert (found["low"], found["high"]) == pytest.approx(accuracy_interval(found["accuracy"], 45))
    assert rows[name, "mean", "linear", 0.1]["train_images"] == 9
    assert [e["step"] for e in result["by_step"] if (e["pool"], e["classifier"]) == ("cls", "linear")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    for entry in (e for e in result["by_step"] if e["step"] == 4):  # the model's own features, from the same pass
        assert entry["accuracy"] == rows[name, entry["pool"], entry["classifier"], 1.0]["accuracy"]
    learned, held = hold_out(sets[1], seed=0)
    states = features_by_step(model, sets[0])
    for entry in (e for e in result["by_step"] if (e["pool"], e["classifier"]) == ("mean", "linear")):
        state = states[entry["step"]]
        expected = linear_accuracy(state[learned], sets[1][learned], state[held], sets[1][held])
        assert entry["held_out"] == pytest.approx(expected)
    assert result["best_steps"] == best_steps(result["by_step"])
    assert "by step of the descent" in printed.err


def test_two_runs_give_the_same_json(checkpoint, capsys):
    printed = []
    for _ in range(2):
        main([f"checkpoint={checkpoint}", *QUICK, "by_step=false", "floors=false"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert json.loads(printed[0])["by_step"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["second"], "One checkpoint is taken at a time"),
        (["labels=[0.1,2]"], "labels[1] must be at most 1, not 2"),
        (["labels=[0]"], "labels[0] must be above 0, not 0"),
        (["labels=[]"], "labels must be a list of one or more"),
        (["neighbours=0"], "neighbours must be at least 1"),
        (["train_images=1"], "train_images must be at least 2"),
        (["finetune_batch=0"], "finetune_batch must be at least 1"),
        (["finetune_steps=-1"], "finetune_steps must be at least 0"),
    ],
)
def test_what_the_command_refuses(checkpoint, options, message):
    with pytest.raises(UsageError) as error:
        main([str(checkpoint), *options])
    assert message in str(error.value)


def test_the_bar_says_how_many_stages_there_are(checkpoint, sets):
    seen = []

    class Watched(Progress):
        def update(self, task_id, **changes):
            super().update(task_id, **changes)
            task = self.tasks[-1]
            seen.append((task.description, task.completed, task.total))

    model = etviz.load_model(str(checkpoint))
    names = [f"class {label}" for label in range(3)]
    options = {"labels": [0.5, 1.0], "neighbours": 3, "finetune_steps": 2, "finetune_batch": 4, "tsne_images": 10}
    plan = make_plan(ProbeOptions(checkpoint=str(checkpoint), out="somewhere", **options))
    bar = Watched(disable=True)
    rows, by_step, points = measure({"tiny": model, "untrained": model}, Split(*sets, names), plan, bar)
    assert (len(rows), len(by_step), len(points)) == (24, 20, 10)
    assert ("features of tiny", 135, 135) in seen
    assert [task.total for task in bar.tasks] == [45]
    assert bar.tasks[0].completed == 45
    assert any(what == "fine-tuning tiny, 50% of labels: step 2 of 2" and total == 45 for what, _, total in seen)


def test_shares_are_said_in_full():
    assert [in_percent(share) for share in (0.01, 0.1, 1.0, 0.125, 0.005)] == ["1%", "10%", "100%", "12.5%", "0.5%"]


def test_results_are_not_replaced_unless_that_is_wished(checkpoint, tmp_path):
    (tmp_path / "probe.json").write_text("precious")
    with pytest.raises(UsageError, match="holds results already"):
        main([str(checkpoint), f"out={tmp_path}"])
    assert (tmp_path / "probe.json").read_text() == "precious"
