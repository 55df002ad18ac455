"""The evaluation's report and comparison, by the command, on tiny checkpoints and a dataset made here."""

import base64
import json
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from importlib.metadata import version
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import etviz
from etviz import commands, evaluate, metrics
from etviz.checkpoints import save_checkpoint
from etviz.evaluation import inputs, provenance
from etviz.evaluation.metric_info import METRICS
from etviz.evaluation.perceptual import Fid, Lpips
from etviz.reports.words import paired_meaning, verdicts

TINY = dict(embed_dim=32, num_heads=2, head_dim=16, steps=2, step_size=0.1, init_scale=0.1)
VOID = {"meta", "img", "br", "link"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    np.savez(
        path,
        train_images=images[:4],
        train_labels=np.arange(4) % 3,
        test_images=images,
        test_labels=rng.integers(0, 3, 20),
    )
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, archive):
    """A folder with three untrained models."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("one", "two", "three")):
        torch.manual_seed(seed)
        save_checkpoint(etviz.create_model("et", **TINY), folder / name, {"model": "et", "dataset": str(archive)})
    torch.manual_seed(0)
    coarse = etviz.create_model("et", patch_size=8, **TINY)
    save_checkpoint(coarse, folder / "coarse", {"model": "et", "dataset": str(archive)})
    save_checkpoint(etviz.create_model("et", **TINY), folder / "other", {"model": "et", "dataset": "cifar10"})
    return folder


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """A report of one checkpoint: the page, the JSON, and where they lie."""
    folder = tmp_path_factory.mktemp("report") / "new"
    evaluate.main([f"checkpoint={runs / 'one'}", f"report={folder}", "seeds=2", "device=cpu", "seed=4", "ratio=0.5"])
    return (folder / "report.html").read_text(), json.loads((folder / "report.json").read_text()), folder


@pytest.fixture(scope="module")
def comparison(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    names = [str(runs / name) for name in ("one", "two", "three")]
    evaluate.main([*names, f"report={folder}", f"json={folder / 'scores.json'}", "device=cpu"])
    return (folder / "report.html").read_text(), json.loads((folder / "scores.json").read_text())


class Page(HTMLParser):
    """Tags in order, and whether each was closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


# ---- one checkpoint ----------------------------------------------------------------------------------------------


def test_the_page_asks_no_network_for_anything(report):
    page = Page(report[0])
    assert not page.all("script") + page.all("link") + page.all("iframe")
    assert all(attributes["src"].startswith("data:image/svg+xml;base64,") for attributes in page.all("img"))
    assert all(attributes["href"].startswith("#") for attributes in page.all("a"))
    assert not re.search(r"url\(|@import|https?://", re.sub(r"base64,[^\"]*", "", report[0]))
    for attributes in page.all("img"):
        drawing = base64.b64decode(attributes["src"].partition(",")[2])
        assert ElementTree.fromstring(drawing).tag.endswith("svg")
        assert len(drawing) < 1_000_000
        assert not re.search(rb"(href|src)=\"(?!#|data:)", drawing)
        assert attributes["alt"]


def test_every_score_is_on_the_page_with_what_it_means(report):
    page, document, _ = report
    scores = document["checkpoints"][0]["metrics"]
    for name in (name for name in METRICS if name in scores):
        assert METRICS[name].format(scores[name]) in page
        assert f'<a href="#{name}">' in page
        assert f'<dt id="{name}">' in page
    assert "alexnet-owt-7be5be79.pth" in page


def test_every_figure_can_be_drawn_anew_from_the_json(report, runs, archive):
    _, document, _ = report
    name = str(runs / "one")
    arrays = np.load(archive)
    images = torch.from_numpy(arrays["test_images"]).permute(0, 3, 1, 2).float() / 255
    mask = etviz.random_mask(
        20, document["config"]["ratio"], generator=torch.Generator().manual_seed(document["mask_seeds"][0])
    )
    output = etviz.load_model(name).reconstruct(images, mask)
    errors = metrics.masked_mse(images, output, mask).double()
    per_image = document["per_image"][name]
    assert per_image["masked_mse"] == pytest.approx(errors.tolist(), rel=1e-5)
    assert document["labels"]["class"] == arrays["test_labels"].tolist()
    order = errors.argsort()
    assert document["drawn"][name]["samples"] == list(range(8))
    assert document["drawn"][name]["best"] == order[:8].tolist()
    assert document["drawn"][name]["worst"] == order.flip(0)[:8].tolist()
    middle = errors[document["drawn"][name]["median"]]
    assert (errors < middle.min()).sum() == (errors > middle.max()).sum() == 6
    scores = document["checkpoints"][0]["metrics"]
    assert scores["masked_mse"] == pytest.approx(np.mean(per_image["masked_mse"]), rel=1e-6)
    rows = document["checkpoints"][0]["by_class"]["class"]
    for label, row in enumerate(rows):
        column = [
            value
            for value, kind in zip(per_image["raw_ssim"], document["labels"]["class"], strict=True)
            if kind == label
        ]
        assert row["raw_ssim"] == pytest.approx(np.mean(column), rel=1e-5)


def test_the_json_says_what_the_numbers_depend_on(report, runs):
    _, document, folder = report
    assert document["config"]["ratio"] == 0.5
    assert document["mask_seeds"] == document["checkpoints"][0]["mask_seeds"] == [4, 5]
    assert document["libraries"]["torch"] == version("torch")
    assert document["libraries"]["scikit-learn"] == version("scikit-learn")
    shown = unescape(report[0])
    for said in (json.dumps(document["config"]), ", ".join(map(str, document["mask_seeds"])), document["device"]):
        assert said in shown
    assert document["etviz"] == etviz.__version__
    assert "CPU" in document["device"]
    digest = subprocess.run(
        ["sha256sum", runs / "one" / "model.safetensors"], capture_output=True, text=True, check=True
    )
    assert document["checkpoints"][0]["weights_sha256"] == digest.stdout.split()[0]
    assert document["command"].startswith("python -m etviz.evaluate checkpoint=")
    assert str(folder) not in json.dumps(document)


def test_the_same_call_writes_the_same_files(report, runs, tmp_path):
    options = ["seeds=2", "device=cpu", "seed=4", "ratio=0.5"]
    evaluate.main([f"checkpoint={runs / 'one'}", f"report={tmp_path}", *options])
    assert (tmp_path / "report.html").read_text() == report[0]
    assert json.loads((tmp_path / "report.json").read_text()) == report[1]


def test_a_report_is_never_replaced_unless_that_is_asked_for(runs, tmp_path, capsys):
    (tmp_path / "report.json").write_text("mine")
    options = [f"checkpoint={runs / 'one'}", f"report={tmp_path}", "device=cpu", "images=3"]
    with pytest.raises(etviz.UsageError, match="holds a report already"):
        evaluate.main(options)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "mine"
    assert capsys.readouterr().out == ""
    for force in ("force=true", "--force"):
        evaluate.main([*options, force])
        assert json.loads((tmp_path / "report.json").read_text())["checkpoints"][0]["images"] == 3


def test_a_report_of_one_image_is_written_too(runs, tmp_path):
    evaluate.main([str(runs / "one"), f"report={tmp_path}", "images=1", "device=cpu"])
    Page((tmp_path / "report.html").read_text())


def test_names_are_escaped(runs, tmp_path):
    folder = tmp_path / "<b>&a"
    folder.symlink_to(runs / "one")
    evaluate.main([str(folder), f"report={tmp_path}", "images=3", "device=cpu"])
    text = (tmp_path / "report.html").read_text()
    Page(text)
    assert "<b>&a" not in text
    assert "&lt;b&gt;&amp;a" in text


# ---- several -----------------------------------------------------------------------------------------------------


def test_several_checkpoints_are_compared_by_their_own_numbers(comparison, runs, capsys):
    page, result = comparison
    names = [str(runs / name) for name in ("one", "two", "three")]
    assert [report["checkpoint"] for report in result["checkpoints"]] == names
    for report in result["checkpoints"]:
        evaluate.main([f"checkpoint={report['checkpoint']}", "device=cpu"])
        alone = json.loads(capsys.readouterr().out)
        assert report["metrics"] == pytest.approx(alone["metrics"], rel=1e-9)
    scores = {report["checkpoint"]: report["metrics"] for report in result["checkpoints"]}
    for row in result["paired"]:
        difference = scores[row["first"]][row["metric"]] - scores[row["second"]][row["metric"]]
        assert row["difference"] == pytest.approx(difference, abs=1e-6)
    best = min(names, key=lambda name: scores[name]["masked_mse"])
    Page(page)
    assert f"<b>{METRICS['masked_mse'].format(scores[best]['masked_mse'])}</b>" in page
    assert page.count("<h2>Best images: ") == 3
    for sentence in verdicts(result["paired"]):
        assert f"<li>{sentence}</li>" in page
    assert paired_meaning(result["paired"]) in unescape(page)


def test_the_tables_of_a_comparison_say_who_is_better(runs, capsys):
    evaluate.main([str(runs / "one"), str(runs / "two"), "device=cpu"])
    captured = capsys.readouterr()
    rows = json.loads(captured.out)["paired"]
    row = next(row for row in rows if row["metric"] == "masked_mse")
    cells = evaluate.paired_cells(row)
    assert cells[0] == f"{row['difference']:+.6f}"
    assert cells[2] == f"{1 - row['first_larger']:.1%}"  # of an error, less is better
    assert cells[2] in captured.err
    said = "".join(captured.err.split())
    for sentence in (*verdicts(rows), paired_meaning(rows)):
        assert "".join(sentence.split()) in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "one"], "is named twice"),
        (["one", "checkpoint=two"], "Name checkpoints either as checkpoint=NAME or without it"),
        (["one", "coarse"], "cut images into different patches"),
        (["one", "other"], "were trained on different images: name one, as dataset=cifar10"),
        (["one", "nowhere"], "There is no checkpoint"),
        (["one", "seeds=0"], "seeds must be at least 1"),
        (["one", "seeds=5000"], "seeds must be at most 1,000"),
        (["one", "lpips=[resnet]"], "There is no LPIPS network 'resnet'"),
        (["one", "lpips=resnet"], "There is no LPIPS network 'resnet'"),
        (["one", "lpips=[1]"], "There is no LPIPS network '1'"),
        (["one", "require=true"], "Not measured: LPIPS"),
        (["one", "--require"], "Not measured: LPIPS"),
        (["one", "report=/proc/x"], "cannot be made"),
        (["one", "--requires"], "Options are written key=value"),
    ],
)
def test_bad_values_end_in_one_sentence(runs, arguments, message):
    paths = [str(runs / one) if (runs / one).exists() else one for one in arguments]
    with pytest.raises(etviz.UsageError, match=message):
        evaluate.main(["device=cpu", "images=3", *paths])


def test_without_weights_the_other_metrics_come_all_the_same(runs):
    command = [sys.executable, "-m", "etviz.evaluate", runs / "one", "images=3", "device=cpu", "lpips=[alex,vgg]"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0
    report = json.loads(found.stdout)
    assert report["left_out"] == {
        "LPIPS (alex)": "alexnet-owt-7be5be79.pth",
        "LPIPS (vgg)": "vgg16-397923af.pth",
        "FID": "weights-inception-2015-12-05-6726825d.pth",
    }
    assert report["metrics"]["masked_psnr"] > 0
    sentences = [line for line in found.stderr.splitlines() if "Not measured" in line]
    assert len(sentences) == 1
    assert "ETVIZ_WEIGHTS" in sentences[0]
    assert "alexnet-owt-7be5be79.pth" in sentences[0]


def test_required_weights_that_are_not_there_end_in_exit_status_2(runs, monkeypatch, capsys):
    options = [str(runs / "one"), "images=3", "device=cpu", "--require"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *options])
    with pytest.raises(SystemExit) as caught:
        commands.run(evaluate.main)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    evaluate.main([*options, "lpips=[]", "fid=false"])  # what is not asked for is not missed
    assert "Not measured" not in capsys.readouterr().err


def test_measured_lpips_and_fid_reach_the_json_the_table_and_the_report(runs, tmp_path, monkeypatch, capsys):
    from tests.test_perceptual import ChannelMeans, Distance

    made = [Lpips("vgg", Distance()), Fid(ChannelMeans(), features=3)]
    monkeypatch.setattr(inputs, "load_meters", lambda *_: (made, []))
    evaluate.main([str(runs / "one"), str(runs / "two"), f"report={tmp_path}", "seeds=2", "device=cpu"])
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert "left_out" not in result["checkpoints"][0]
    for report in result["checkpoints"]:
        assert {"completed_lpips_vgg", "raw_fid"} <= report["metrics"].keys()
        assert len(report["over_seeds"]["completed_fid"]["values"]) == 2
    assert "completed_lpips_vgg" in {row["metric"] for row in result["paired"]}
    text = (tmp_path / "report.html").read_text()
    assert METRICS["completed_fid"].format(result["checkpoints"][1]["metrics"]["completed_fid"]) in text
    assert "raw LPIPS (vgg)" in captured.err


def test_tables_by_class_are_there_where_they_are_asked_for(runs, archive, capsys):
    evaluate.main([str(runs / "one"), "by_class=true", "device=cpu"])
    captured = capsys.readouterr()
    rows = json.loads(captured.out)["by_class"]["class"]
    counts = np.bincount(np.load(archive)["test_labels"])
    assert [(row["name"], row["images"]) for row in rows] == [(str(i), count) for i, count in enumerate(counts)]
    for row in rows:
        assert f"{row['masked_psnr']:.3f} dB" in captured.err
    evaluate.main([str(runs / "one"), "device=cpu"])
    assert "by_class" not in json.loads(capsys.readouterr().out)


# ---- provenance --------------------------------------------------------------------------------------------------


def test_the_revision_of_this_code_is_known_in_a_clone():
    folder = provenance.HERE.parent
    if not (folder / ".git").exists():
        pytest.skip("not a git checkout")
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", provenance.git_revision() or "")


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=folder, check=True, capture_output=True
    )


def test_the_revision_is_gits_and_says_whether_files_were_changed(tmp_path):
    assert provenance.git_revision(tmp_path) is None
    (tmp_path / "version.py").write_text("1")
    git(tmp_path, "init")
    assert provenance.git_revision(tmp_path) is None  # somebody else's repository
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    revision = provenance.git_revision(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", revision)
    (tmp_path / "version.py").write_text("2")
    assert provenance.git_revision(tmp_path) == f"{revision}-dirty"
