"""The builder of a site: weights, pictures, names that change with content, and what a first visit fetches."""

import json
import re
import subprocess
import sys
from io import BytesIO
from urllib.parse import urljoin

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

import etviz
from etviz.checkpoints import save_checkpoint, save_snapshot
from etviz.errors import UsageError
from etviz.examples import Pictures
from etviz.metrics import evaluate_model
from etviz.site import weights
from etviz.site.__main__ import FIRST_VISIT, main
from etviz.site.build import build, write
from etviz.site.drawings import icon
from etviz.site.pages import ICONS
from etviz.site.pictures import COLUMNS, sprite
from etviz.site.service import SiteService
from etviz.site.serving import HOST, open_server
from etviz.site.store import Store
from tests.conftest import TINY


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two models, one of them with a snapshot, and a model without an energy."""
    folder = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    for name in ("tiny", "twin"):
        save_checkpoint(etviz.create_model("et", **TINY), folder / name, {"name": name})
    save_snapshot(etviz.create_model("et", **TINY), folder / "tiny", 10, 0.5, 100)
    save_checkpoint(etviz.create_model("mae", embed_dim=32, depth=1, num_heads=2), folder / "mae", {})
    return folder


def built(home, *names, **changes):
    service = SiteService(tuple(str(home / name) for name in names), "cifar10", str(home), 5)
    return build(service, **changes)


def read(site, path):
    return json.loads(site.files[path])


def catalogue_of(site):
    return read(site, next(path for path in site.files if path.startswith("assets/catalogue-")))


def noise(count):
    return Pictures(torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8), [""] * count, "noise")


# ---- weights and pictures ----------------------------------------------------------------------------------------


def test_large_weights_are_halved_and_small_ones_kept():
    model = etviz.create_model("et", **TINY).eval()
    carried = load(weights.carried_weights(model, noise(4)))
    assert carried["descent.blocks.0.memories"].dtype == torch.float16
    assert torch.equal(carried["mean"], model.mean)
    model.load_state_dict(carried)


def test_weights_that_lose_quality_in_half_precision_stay_single():
    model = etviz.create_model("et", **TINY).eval()
    with torch.no_grad():
        model.positions.fill_(1e6)  # beyond half precision
    carried = load(weights.carried_weights(model, noise(4)))
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in carried.items())
    assert carried["positions"].dtype == torch.float32


def test_the_loss_is_that_of_the_masked_psnr():
    model, other = (etviz.create_model("et", **TINY).eval() for _ in range(2))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    scores = [evaluate_model(each, images, include_ssim=False)["masked_psnr"] for each in (model, other)]
    lost = weights.loss_of_quality(model, other.state_dict(), images)
    assert lost == pytest.approx(abs(scores[0] - scores[1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["et-cifar10", "et-small-cifar10"])
def test_the_shipped_models_are_as_good_in_half_precision(name):
    images = etviz.examples.carried_pieces(32).test_images[:300]
    model = etviz.load_model(name)
    assert weights.loss_of_quality(model, weights.halved(model.state_dict()), images) <= weights.CLOSE


@pytest.mark.parametrize("count", [1, COLUMNS, COLUMNS + 3])
def test_a_sprite_holds_every_picture_exactly(count):
    images = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8)
    whole = np.array(Image.open(BytesIO(sprite(images))))
    for number, image in enumerate(images):
        top, left = 8 * (number // COLUMNS), 8 * (number % COLUMNS)
        assert np.array_equal(whole[top : top + 8, left : left + 8], image.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("shape", ICONS.values())
def test_icons_are_square_and_empty_at_the_edge(shape):
    picture = Image.open(BytesIO(icon(*shape)))
    assert picture.size == (shape[0], shape[0])
    top = np.array(picture)[0]
    assert (top == top[0]).all()
    assert len(picture.getcolors()) > 5


# ---- the site ----------------------------------------------------------------------------------------------------


def test_a_site_names_only_files_that_it_has(home):
    site = built(home, "tiny", "twin")
    found = catalogue_of(site)
    named = {path for model in found["models"] for path in (model["weights"], model["training"])}
    named |= {snapshot["weights"] for model in found["models"] for snapshot in model["snapshots"]}
    named |= {gallery["sprite"] for gallery in found["datasets"]} | {found["replay"], found["live"], *site.first}
    index = site.files["index.html"].decode()
    named |= set(re.findall(r"(?<=[\"'])assets/[\w./-]+", index))
    app = next(path for path in site.files if path.startswith("assets/app-"))
    named |= {urljoin(app, entry["src"]) for entry in read(site, app)["icons"]}
    assert named <= site.files.keys()
    start = urljoin(f"https://example.org/etviz/{app}", read(site, app)["start_url"])
    assert start == "https://example.org/etviz/"


def test_the_catalogue_says_what_python_says(home):
    site = built(home, "tiny", "twin")
    found = catalogue_of(site)
    model = found["models"][0]
    assert [entry["name"] for entry in found["models"]] == ["tiny", "twin"]
    assert model["config"]["num_heads"] == TINY["num_heads"]
    assert etviz.create_model(**model["config"]).num_patches == model["patches"]
    assert model["snapshots"][0]["epoch"] == 0.5
    assert found["start"]["answer"]["model"] == "tiny"
    gallery = found["datasets"][0]
    assert len(gallery["captions"]) == len(gallery["labels"]) == len(gallery["choices"]) == 5
    names = [gallery["classes"][label] for label in gallery["labels"]]
    assert all(name in choices for name, choices in zip(names, gallery["choices"], strict=True))


def test_models_of_another_size_come_with_photographs_large_enough(tmp_path, home):
    torch.manual_seed(0)
    save_checkpoint(etviz.create_model("et", **TINY, img_size=64, patch_size=8), tmp_path / "large", {})
    service = SiteService((str(home / "tiny"), str(tmp_path / "large")), "cifar10", str(home), 5)
    found = catalogue_of(build(service))
    assert [model["size"] for model in found["models"]] == [32, 64]
    assert found["datasets"][-1]["name"] == "scikit-image"
    assert found["datasets"][-1]["size"] == 64


def test_a_site_offers_nothing_to_fetch_from_elsewhere(home):
    assert not catalogue_of(built(home, "tiny"))["start"].get("offers")


def test_names_change_with_content_and_only_then(home):
    sites = [built(home, "tiny"), built(home, "tiny"), built(home, "twin")]
    assert sites[0].files == sites[1].files
    assert sites[0].version != sites[2].version
    shared = sites[0].files.keys() & sites[2].files.keys() - {"index.html", "sw.js"}
    assert shared
    assert all(sites[0].files[path] == sites[2].files[path] for path in shared)


def test_index_and_service_worker_name_the_same_version(home):
    site = built(home, "tiny")
    assert f'content="{site.version}"' in site.files["index.html"].decode()
    assert f'"version": "{site.version}"' in site.files["sw.js"].decode()


def test_link_previews_have_a_full_address_where_it_is_known(home):
    index = built(home, "tiny", url="https://example.org/etviz/", source="https://example.org/code").files["index.html"]
    assert re.search(rb'og:image" content="https://example.org/etviz/assets/preview-\w+\.png"', index)
    assert b'href="https://example.org/code"' in index


def test_a_first_visit_of_the_shipped_models_takes_3_mb_at_most(tmp_path, monkeypatch, capsys):
    """Noise compresses worse than any picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(300) % 10
    arrays = {
        f"{split}_{what}": given
        for split in ("train", "test")
        for what, given in (("images", pixels), ("labels", labels))
    }
    np.savez(tmp_path / "noise.npz", **arrays)
    monkeypatch.setattr(weights, "CHECKED", 2)
    main([f"out={tmp_path / 'site'}", f"dataset={tmp_path / 'noise.npz'}"])
    said = capsys.readouterr()
    first = int(re.search(r"([\d,]+)  bytes for a first visit", said.out)[1].replace(",", ""))
    assert 1_000_000 < first <= FIRST_VISIT
    assert not said.err


# ---- writing -----------------------------------------------------------------------------------------------------


def test_a_new_site_keeps_the_files_of_the_one_before_and_no_older_ones(home, tmp_path):
    first, second, third = (built(home, *names) for names in (["tiny"], ["twin"], ["twin", "tiny"]))
    weights_of = {site.version: catalogue_of(site)["models"][0]["training"] for site in (first, second)}
    write(first, tmp_path)
    write(second, tmp_path)
    assert all((tmp_path / path).exists() for path in first.files)
    assert (tmp_path / "index.html").read_bytes() == second.files["index.html"]
    write(third, tmp_path)
    gone = first.files.keys() - second.files.keys() - third.files.keys()
    assert gone
    assert not any((tmp_path / path).exists() for path in gone)
    assert (tmp_path / weights_of[second.version]).exists()


def test_another_page_is_not_overwritten(home, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="not of etviz"):
        write(built(home, "tiny"), tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_a_damaged_list_of_files_is_said(home, tmp_path):
    write(built(home, "tiny"), tmp_path)
    (tmp_path / "site.json").write_text("{")
    with pytest.raises(UsageError, match=r"site\.json' is damaged"):
        write(built(home, "tiny"), tmp_path)


def test_equal_names_in_other_letters_stay_apart():
    store = Store()
    first, second = store.add("a b.json", b"1"), store.add("a/b.json", b"2")
    assert first != second
    assert all(re.fullmatch(r"assets/[\w.-]+", path) for path in (first, second))


# ---- the command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("models=nothing", "There is no checkpoint 'nothing'"),
        ("models=[]", "models must be a list of one or more"),
        ("url=example.org", "url must be an address"),
        ('source=https://a"onclick=x', "source must be an address"),
        ("pictures=0", "pictures must be at least 1"),
        ("dataset=missing.npz", "missing.npz"),
        ("models=MAE", "has no energy"),
    ],
)
def test_bad_input_ends_in_a_sentence(home, tmp_path, argument, sentence):
    given = argument.replace("MAE", str(home / "mae"))
    default = [] if "models" in given else [f"models={home / 'tiny'}"]
    with pytest.raises(UsageError, match=re.escape(sentence)):
        main([given, *default, f"data.root={home}", f"out={tmp_path / 'site'}"])
    assert not (tmp_path / "site").exists()


def test_two_models_of_one_name_are_refused(home, tmp_path):
    save_checkpoint(etviz.create_model("et", **TINY), tmp_path / "tiny", {})
    with pytest.raises(UsageError, match="Two models are called 'tiny'"):
        SiteService((str(home / "tiny"), str(tmp_path / "tiny")), "cifar10", str(home), 5)


def test_help_lists_the_options():
    done = subprocess.run([sys.executable, "-m", "etviz.site", "--help"], capture_output=True, text=True, check=True)
    assert "serve=false" in done.stdout


def test_a_site_is_served_to_this_machine_alone_by_the_right_media_types(home, tmp_path):
    write(built(home, "tiny"), tmp_path)
    with open_server(tmp_path) as server:
        assert server.server_address[0] == HOST
        handler = server.RequestHandlerClass.func
        types = {suffix: handler.extensions_map[suffix] for suffix in (".js", ".json", ".webp")}
        with pytest.raises(UsageError, match="is taken"):
            open_server(tmp_path, server.server_port)
    assert types == {".js": "text/javascript", ".json": "application/json", ".webp": "image/webp"}
