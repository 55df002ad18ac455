"""The products that the pages show: declared, checked without computing, and made whole or not at all."""

import json
from pathlib import Path

import pytest

from benchmarks import results, tables
from benchmarks.products import ROOT, Product, digest
from etviz import UsageError
from etviz.evaluation.provenance import weights_digest


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)


@pytest.fixture
def product(tmp_path):
    """Two files of one command; the second is called otherwise in its place."""
    return Product(
        name="mine",
        module="some.command",
        arguments=("images=3",),
        place=("out={}",),
        files={"a.txt": "docs/a.txt", "b.txt": "docs/of/b.txt"},
        form="mine 1",
        checkpoints=lambda: ["et-small-cifar10"],
        root=tmp_path,
    )


def writer(**texts):
    """A command that writes these, and the calls that it got."""
    calls = []

    def run(command):
        calls.append(command)
        write(Path(command[-1].removeprefix("out=")), **texts)

    return run, calls


def test_declared_products_are_there_and_are_checked_without_computing(capsys):
    known = results.products()
    names = [one.name for one in known]
    assert len(set(names)) == len(names)
    assert {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")} < set(names)
    assert not [path for one in known for path in getattr(one, "files", {}).values() if not (ROOT / path).is_file()]
    results.main(["--check"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == names


def test_every_figure_of_a_page_belongs_to_a_product():
    declared = {path for one in results.products() for path in getattr(one, "files", {}).values()}
    shown = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".json", ".html")]
    assert {str(path.relative_to(ROOT)) for path in shown} - {"docs/results.json"} <= declared


def test_a_product_is_made_once_and_then_up_to_date(product, tmp_path, capsys):
    run, calls = writer(a="one", b="two")
    assert product.reasons() == ["docs/a.txt is missing.", "docs/of/b.txt is missing."]
    results.remake([product], runner=run)
    assert (tmp_path / "docs" / "a.txt").read_text() == "one"
    assert (tmp_path / "docs" / "of" / "b.txt").read_text() == "two"
    record = json.loads((tmp_path / "docs" / "results.json").read_text())["mine"]
    assert record["command"] == "python -m some.command images=3"
    assert record["weights"] == {"et-small-cifar10": weights_digest("et-small-cifar10")}
    assert product.reasons() == []
    results.remake([product], runner=run)
    assert len(calls) == 1
    assert "mine: up to date" in capsys.readouterr().out
    results.remake([product], force=True, runner=run)
    assert len(calls) == 2
    assert not list((tmp_path / "outputs").iterdir())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"form": "mine 2"}, "Its format is 'mine 1', and 'mine 2' is written now."),
        ({"arguments": ("images=4",)}, "It was made by `python -m some.command images=3`, and"),
        ({"checkpoints": lambda: ["et-small-cifar10", "mae-cifar10"]}, "It lacks mae-cifar10."),
        ({"checkpoints": list}, "It shows et-small-cifar10, which is not among them any more."),
        ({"sources": lambda: {"x.py": "0"}}, "It lacks x.py."),
    ],
)
def test_what_makes_a_product_stale_is_one_sentence(product, change, reason):
    product.make(writer(a="one", b="two")[0])
    (said,) = Product(**vars(product) | change).reasons()
    assert said.startswith(reason)


def test_other_weights_and_other_code_make_a_product_stale(product, tmp_path):
    product.make(writer(a="one", b="two")[0])
    path = tmp_path / "docs" / "results.json"
    records = json.loads(path.read_text())
    records["mine"] |= {"weights": {"et-small-cifar10": "0" * 64}, "sources": {"x.py": digest("old")}}
    path.write_text(json.dumps(records))
    changed = Product(**vars(product) | {"sources": lambda: {"x.py": digest("new")}})
    assert changed.reasons() == [
        "The weights of et-small-cifar10 changed since then.",
        "The code of x.py changed since then.",
    ]


@pytest.mark.parametrize("fails", [True, False])
def test_what_fails_leaves_everything_as_it_was(product, tmp_path, fails):
    product.make(writer(a="one", b="two")[0])
    before = (tmp_path / "docs" / "results.json").read_text()
    run, calls = writer(a="new")  # and not the other one

    def failing(command):
        run(command)
        if fails:
            raise UsageError("no memory")

    other = Product(**vars(product) | {"name": "later"})
    with pytest.raises(UsageError, match="no memory" if fails else r"wrote no b\.txt: mine stays as it was"):
        results.remake([product, other], force=True, runner=failing)
    assert len(calls) == 1
    assert (tmp_path / "docs" / "a.txt").read_text() == "one"
    assert (tmp_path / "docs" / "results.json").read_text() == before
    assert not list((tmp_path / "outputs").iterdir())


def test_a_json_of_its_own_says_what_a_product_was_made_from(product, tmp_path):
    own = Product(**vars(product) | {"files": {"a.txt": "docs/a.txt"}, "record": "docs/a.txt"})
    own.make(writer(a='{"entries": {}}')[0])
    assert own.reasons() == ["Nothing says what it was made from."]  # as in an older etviz
    own.make(writer(a=json.dumps(own.wanted() | {"entries": {}}))[0])
    assert own.reasons() == []
    assert not (tmp_path / "docs" / "results.json").exists()


def test_products_are_picked_by_name_or_folder():
    known = results.products()
    picked = [one.name for one in results.pick(known, ["notebooks", "floors"])]
    assert picked[0] == "floors"
    assert len(picked) == 1 + len(list((ROOT / "notebooks").glob("*.ipynb")))
    with pytest.raises(UsageError, match="no product 'note': choose from floors"):
        results.pick(known, ["note"])


def test_tables_stand_between_their_markers(tmp_path):
    for name in tables.DOCUMENTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "README.md").write_text("before\n<!-- results models -->\nold\n<!-- end -->\nafter\n")
    floors = {"visible mean": (0.05, 13.0), "Telea": (0.04, 14.0), "biharmonic": (0.03, 15.234)}
    scores = {name: {"masked_mse": mse, "masked_psnr": psnr} for name, (mse, psnr) in floors.items()}
    (tmp_path / tables.FLOORS).write_text(json.dumps({"floors": scores}))
    accuracies = {step: {"accuracy": x, "low": x - 0.02, "high": x + 0.02} for step, x in enumerate((0.3, 0.4, 0.35))}
    by_step = [{"classifier": "linear", "pool": "mean", "step": step} | found for step, found in accuracies.items()]
    (tmp_path / tables.PROBE).parent.mkdir(parents=True)
    (tmp_path / tables.PROBE).write_text(json.dumps({"by_step": by_step, "best_steps": [by_step[1]]}))
    mine = tables.Tables(name="tables", root=tmp_path)
    assert mine.reasons()[0].startswith("README.md does not show what cards and measurements say")
    mine.make()
    assert mine.reasons() == []
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- results models -->\n|")
    assert text.endswith("|\n<!-- end -->\nafter\n")
    assert "| each image's visible mean | 13.00 dB |\n| biharmonic inpainting | 15.23 dB |\n" in text
    assert "Telea" not in text  # the best filler alone
    scores = "15.23 dB by biharmonic inpainting, 14.00 dB by Telea inpainting and 13.00 dB by each image's visible mean"
    measuring = (tmp_path / "docs" / "measuring.md").read_text()
    assert f"filling in without a model gives {scores}." in measuring
    assert (
        "for 30.0% (28.0 to 32.0) of the test images at the start, for 40.0% (38.0 to 42.0) after step 1" in measuring
    )
    assert "and for 35.0% (33.0 to 37.0) after the last step, 2." in measuring


def test_a_page_is_written_again_where_its_wording_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "make_page", lambda path: f"a page of {path.name}")
    (tmp_path / "one.md").write_text("an older page")
    (tmp_path / "two.md").write_text("a page of two.json")
    mine = tables.Pages(name="pages", documents=("one.json", "two.json"), root=tmp_path)
    assert mine.reasons() == ["one.md is worded otherwise now."]
    mine.make()
    assert (tmp_path / "one.md").read_text() == "a page of one.json"
    assert mine.reasons() == []


@pytest.mark.parametrize("document", tables.DOCUMENTS)
def test_documents_have_blocks_that_are_known(document):
    assert tables.Tables(name="tables").blocks((ROOT / document).read_text())
