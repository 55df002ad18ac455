"""What each figure draws: the pixels, curves and maps themselves, read back from the figure."""

import base64
import io
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import etviz
from etviz import plots
from etviz.errors import UsageError
from etviz.metrics import masked_psnr
from etviz.training import TrainConfig

TINY = {"embed_dim": 64, "num_heads": 2, "head_dim": 32, "step_size": 0.1, "init_scale": 0.1, "steps": 4}


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def mask():
    return etviz.random_mask(3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def trace(images, mask):
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).trace(images, mask)


def drawn(axes):
    """The picture on some axes as (C, H, W)."""
    (picture,) = axes.get_images()
    assert picture.get_interpolation() == "nearest"
    return torch.from_numpy(np.asarray(picture.get_array())).permute(2, 0, 1)


def hidden_pixels(mask):
    return mask.reshape(-1, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)


def panels_with_map(figure):
    """Axes that show a map of one value a patch."""
    return [axes for axes in figure.axes if axes.get_images() and axes.get_images()[0].get_array().ndim == 2]


def map_of(axes):
    return np.asarray(axes.get_images()[0].get_array())


# ---- grids -------------------------------------------------------------------------------------------------------


def test_hidden_patches_are_grey_and_the_others_untouched(images, mask):
    masked = plots.hide_patches(images, mask)
    hidden = hidden_pixels(mask).expand_as(images)
    assert (masked[hidden] == 0.5).all()
    assert torch.equal(masked[~hidden], images[~hidden])


def test_the_grid_shows_what_it_says(images, mask, trace):
    output = trace.frames[:, -1]
    figure = plots.reconstruction_grid(images, mask, output)
    axes = np.array(figure.axes).reshape(4, 3)
    expected = [images, plots.hide_patches(images, mask), output, etviz.complete(images, output, mask)]
    for row, pictures in zip(axes, expected, strict=True):
        for cell, picture in zip(row, pictures, strict=True):
            assert torch.equal(drawn(cell), picture)
    assert [row[0].get_ylabel() for row in axes] == ["original", "masked", "reconstruction", "completed"]
    labels = [f"{value:.1f} dB" for value in masked_psnr(images, output, mask).tolist()]
    assert [cell.get_xlabel() for cell in axes[-1]] == labels


def test_the_grid_refuses_shapes_that_do_not_fit(images, mask):
    with pytest.raises(etviz.UsageError, match="one shape"):
        plots.reconstruction_grid(images, mask, images[:2])


def test_a_grey_image_is_drawn_in_grey(images, mask):
    grey = images[:, :1]
    (first, *_) = plots.reconstruction_grid(grey, mask, grey).axes
    (picture,) = first.get_images()
    assert picture.get_cmap().name == "gray"
    assert picture.get_clim() == (0, 1)
    assert np.array_equal(np.asarray(picture.get_array()), grey[0, 0].numpy())


# ---- film --------------------------------------------------------------------------------------------------------


def test_completed_frames_hold_the_given_pixels_at_every_step(images, mask, trace):
    frames = plots.complete_frames(trace, images)
    assert frames.shape == (3, 5, 3, 32, 32)
    for step in range(5):
        assert torch.equal(frames[:, step], etviz.complete(images, trace.frames[:, step], mask))


def test_the_strip_shows_every_step_between_input_and_original(images, mask, trace):
    figure = plots.film_strip(trace, images)
    axes = np.array(figure.axes).reshape(3, 7)
    assert [cell.get_title() for cell in axes[0]] == ["masked", *(f"step {i}" for i in range(5)), "original"]
    frames = plots.complete_frames(trace, images)
    for index, row in enumerate(axes):
        assert torch.equal(drawn(row[0]), plots.hide_patches(images, mask)[index])
        assert torch.equal(drawn(row[-1]), images[index])
        for step, cell in enumerate(row[1:-1]):
            assert torch.equal(drawn(cell), frames[index, step])


def test_the_gif_shows_every_state_crisply(images, mask, trace, tmp_path):
    plots.film_gif(tmp_path / "film.gif", trace, images, scale=3)
    frames = plots.complete_frames(trace, images)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 5
        assert film.info["loop"] == 0
        assert film.size == (3 * (3 * 33 + 1), 3 * (3 * 33 + 1))
        for step in range(5):
            film.seek(step)
            pixels = np.asarray(film.convert("RGB"))
            blocks = pixels.reshape(100, 3, 100, 3, 3)
            assert (blocks == blocks[:, :1, :, :1]).all()  # each pixel is a square of one colour
            small = torch.from_numpy(blocks[:, 0, :, 0].astype(np.float32) / 255).permute(2, 0, 1)
            rows = [plots.hide_patches(images, mask)[1], frames[1, step], images[1]]
            for row, expected in enumerate(rows):  # the second column; 256 colours for all of the film
                top, left = 1 + 33 * row, 1 + 33
                error = (small[:, top : top + 32, left : left + 32] - expected).abs().mean()
                assert error < 0.06


def test_an_encoder_has_no_film(images, mask):
    torch.manual_seed(0)
    options = {"step_size": 0.1, "embed_dim": 32, "num_heads": 2, "decoder_embed_dim": 32, "steps": 2}
    trace = etviz.create_model("et_asym", **options).trace(images, mask)
    assert plots.complete_frames(trace, images).shape[1] == 3
    with pytest.raises(etviz.UsageError, match="no frames"):
        plots.film_strip(trace.encoder, images)


def test_a_film_of_other_images_is_refused(images, trace, tmp_path):
    with pytest.raises(etviz.UsageError, match="is not of"):
        plots.film_strip(trace, images[:2])
    with pytest.raises(etviz.UsageError, match="scale"):
        plots.film_gif(tmp_path / "film.gif", trace, images, scale=0)


# ---- energy ------------------------------------------------------------------------------------------------------


def test_energy_curves_are_mean_and_band_of_each_part(trace):
    total, attention, hopfield = plots.energy_curves(trace).axes
    energies = [trace.energy, trace.attention_energy.sum(2), trace.hopfield_energy.sum(2)]
    for axes, energy in zip((total, attention, hopfield), energies, strict=True):
        (line,) = axes.get_lines()
        assert np.allclose(line.get_xdata(), range(5))
        assert np.allclose(line.get_ydata(), energy.double().numpy().mean(0))
        (band,) = axes.collections
        low, high = np.quantile(energy.double().numpy(), [0.1, 0.9], axis=0)
        vertices = band.get_paths()[0].vertices
        for step in range(5):
            at_step = vertices[vertices[:, 0] == step, 1]
            assert np.allclose([at_step.min(), at_step.max()], [low[step], high[step]])
    labels = [text.get_text() for text in total.get_legend().get_texts()]
    assert labels == ["mean", "10-90% of 3 images"]


def test_energy_curves_join_batches(trace):
    parts = [
        replace(
            trace,
            energy=trace.energy[part],
            attention_energy=trace.attention_energy[part],
            hopfield_energy=trace.hopfield_energy[part],
        )
        for part in (slice(0, 1), slice(1, 3))
    ]
    joined, whole = plots.energy_curves(parts), plots.energy_curves(trace)
    for a, b in zip(joined.axes, whole.axes, strict=True):
        assert np.allclose(a.get_lines()[0].get_ydata(), b.get_lines()[0].get_ydata())


def test_energy_rises_are_counted_and_drawn(trace):
    risen = trace.energy.clone()
    risen[1, 2] = risen[1, 1] + 1000
    figure = plots.energy_curves(replace(trace, energy=risen))
    assert figure.axes[0].get_title(loc="left") == "total energy, rose in 1 of 12 steps"
    assert np.allclose(figure.axes[0].get_lines()[0].get_ydata(), risen.double().numpy().mean(0))


def test_energies_of_different_blocks_are_not_joined(images, mask):
    torch.manual_seed(0)
    trace = etviz.create_model("et", **{**TINY, "depth": 2, "steps": 2}).trace(images, mask)
    axes = plots.energy_curves(trace).axes[0]
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) > 2 or line.get_marker() == "o"]
    assert [list(map(int, line.get_xdata())) for line in curves] == [[0, 1], [2, 3, 4]]
    assert axes.get_title(loc="left").endswith("of 9 steps")  # 3 images, 3 steps within a block


def test_one_image_has_no_band(trace):
    one = replace(
        trace,
        energy=trace.energy[:1],
        attention_energy=trace.attention_energy[:1],
        hopfield_energy=trace.hopfield_energy[:1],
    )
    assert all(not axes.collections for axes in plots.energy_curves(one).axes)


def test_traces_of_different_lengths_are_refused(trace):
    with pytest.raises(etviz.UsageError, match="one length"):
        plots.energy_curves([trace, replace(trace, energy=trace.energy[:, :3])])
    with pytest.raises(etviz.UsageError, match="one length"):
        plots.energy_curves([])


# ---- attention ---------------------------------------------------------------------------------------------------


def test_attention_maps_are_a_row_and_a_column_of_the_softmax(images, trace):
    figure = plots.attention_maps(trace, images, query=20, image=1, step=2)
    attention = trace.attention[1, 2].mean(0)
    as_query, as_key = panels_with_map(figure)
    assert np.allclose(map_of(as_query), attention[21, 1:].reshape(8, 8), atol=1e-6)
    assert np.allclose(map_of(as_key), attention[1:, 21].reshape(8, 8), atol=1e-6)
    assert [axes.texts[0].get_text() for axes in (as_query, as_key)] == [
        f"CLS\n{attention[21, 0]:.3f}",
        f"CLS\n{attention[0, 21]:.3f}",
    ]
    assert [axes.get_title()[:10] for axes in (as_query, as_key)] == ["as a query", "as a key: "]
    assert not np.allclose(map_of(as_query), map_of(as_key))


def test_the_query_patch_is_outlined(images, mask, trace):
    figure = plots.attention_maps(trace, images, query=20, image=1)
    picture = figure.axes[0]
    (outline,) = picture.patches
    assert (*outline.get_xy(), outline.get_width()) == (15.5, 7.5, 4)  # patch 20: row 2, column 4
    assert torch.equal(drawn(picture), plots.hide_patches(images, mask)[1])
    assert picture.get_title() == f"patch 20, {'hidden' if mask[1, 20] else 'visible'}"
    as_query = panels_with_map(figure)[0]
    assert (3.5, 1.5) in [patch.get_xy() for patch in as_query.patches]


def test_attention_of_each_head(images, trace):
    figure = plots.attention_heads(trace, images, query=5)
    attention = trace.attention[0, -1]
    maps = panels_with_map(figure)
    expected = [*attention[:, 6, 1:], *attention[:, 1:, 6]]
    for axes, weights in zip(maps, expected, strict=True):
        assert np.allclose(map_of(axes), weights.reshape(8, 8), atol=1e-6)
    assert [axes.get_title() for axes in maps[:2]] == [f"head {h}, CLS {attention[h, 6, 0]:.2f}" for h in range(2)]
    assert maps[0].get_images()[0].get_clim() == maps[1].get_images()[0].get_clim()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"query": 64}, "no patch 64: they are numbered 0 to 63"),
        ({"query": -1}, "no patch -1"),
        ({"query": 0, "image": 3}, "no image 3"),
        ({"query": 0, "step": 5}, "no step 5"),
    ],
)
def test_places_that_do_not_exist_are_refused(images, trace, place, message):
    with pytest.raises(etviz.UsageError, match=message):
        plots.attention_maps(trace, images, **place)


def test_a_trace_without_attention_is_refused(images, trace):
    with pytest.raises(etviz.UsageError, match="keep_attention"):
        plots.attention_heads(replace(trace, attention=None), images, 0)


# ---- all ---------------------------------------------------------------------------------------------------------


def test_every_figure_is_written_without_pyplot(tmp_path):
    code = """
import sys, torch, etviz
from etviz import plots
images, mask = torch.rand(2, 3, 32, 32), etviz.random_mask(2)
model = etviz.create_model("et", embed_dim=32, num_heads=7, head_dim=8, steps=2, step_size=0.1)
trace = model.trace(images, mask)
plots.reconstruction_grid(images, mask, trace.frames[:, -1]).savefig(sys.argv[1] + "/grid.png")
plots.film_strip(trace, images).savefig(sys.argv[1] + "/film.png")
plots.energy_curves(trace).savefig(sys.argv[1] + "/energy.png")
plots.attention_maps(trace, images, 3).savefig(sys.argv[1] + "/attention.png")
plots.attention_heads(trace, images, 3).savefig(sys.argv[1] + "/heads.png")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code, str(tmp_path)], check=True)
    for name in ("grid", "film", "energy", "attention", "heads"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5  # not blank


def test_learning_rates_warm_up_and_fall_along_a_cosine():
    config = TrainConfig(lr=2e-3, min_lr=1e-4, warmup_steps=10)
    (line,) = plots.learning_rates(config, 110).axes[0].lines
    rates = np.asarray(line.get_ydata())
    assert rates[:10] == pytest.approx(2e-3 * np.arange(1, 11) / 10)
    assert rates[10:] == pytest.approx(1e-4 + 1.9e-3 * (1 + np.cos(np.pi * np.arange(100) / 100)) / 2)
    with pytest.raises(UsageError, match="at least 1 step"):
        plots.learning_rates(config, 0)


def test_anomaly_maps_stand_under_their_pictures_under_one_scale(images):
    maps = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    figure = plots.anomaly_maps(images, maps, ["a", "b", "c"])
    above, below = figure.axes[:3], figure.axes[3:6]
    assert [axes.get_title() for axes in above] == ["a", "b", "c"]
    for axes, image in zip(above, images, strict=True):
        assert torch.equal(drawn(axes), image)
    for axes, error in zip(below, maps, strict=True):
        assert np.array_equal(map_of(axes), error)
        assert axes.get_images()[0].norm.vmax == pytest.approx(maps.max().item())
    with pytest.raises(UsageError, match="3 pictures need as many maps"):
        plots.anomaly_maps(images, maps[:2])


# ---- scores of whole splits --------------------------------------------------------------------------------------


def test_a_score_histogram_counts_images_and_marks_the_median():
    generator = torch.Generator().manual_seed(0)
    values = {"a": 16 + torch.randn(500, generator=generator), "b": 17 + torch.randn(500, generator=generator)}
    axes = plots.score_histogram(values).axes[0]
    steps = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    edges = steps[0].get_data().edges
    for drawn, scores in zip(steps, values.values(), strict=True):
        assert drawn.get_data().values.tolist() == np.histogram(scores.double().numpy(), edges)[0].tolist()
    assert sum(steps[0].get_data().values) == 500
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx(
        [np.median(v.numpy()) for v in values.values()]
    )
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    alone = plots.score_histogram({"a": values["a"]}).axes[0]
    assert alone.get_title(loc="left") == f"median {np.median(values['a'].numpy()):.2f}"
    assert alone.get_legend() is None
    for wrong in ({}, {"a": torch.tensor([1.0, torch.inf])}, {"a": torch.tensor([])}):
        with pytest.raises(etviz.UsageError, match="all of them finite"):
            plots.score_histogram(wrong)
    plots.score_histogram({"a": torch.ones(3)})  # one score for all


def test_difference_intervals_are_drawn_where_they_lie():
    rows = [
        {"first": "a", "second": "b", "difference": 0.2, "low": 0.1, "high": 0.4},
        {"first": "a", "second": "c", "difference": -0.3, "low": -0.5, "high": 0.1},
    ]
    axes = plots.difference_intervals(rows, "difference in masked PSNR (dB)").axes[0]
    zero, *bars, dots = axes.lines
    assert list(zero.get_xdata()) == [0, 0]
    assert [list(bar.get_xdata()) for bar in bars] == [[0.1, 0.4], [-0.5, 0.1]]
    assert list(dots.get_xdata()) == [0.2, -0.3]
    labels = dict(zip(axes.get_yticks(), (label.get_text() for label in axes.get_yticklabels()), strict=True))
    assert [labels[place] for place in dots.get_ydata()] == ["a - b", "a - c"]
    assert dots.get_ydata()[0] > dots.get_ydata()[1]
    with pytest.raises(etviz.UsageError, match="no pair"):
        plots.difference_intervals([], "nothing")


def test_a_drawing_follows_the_readers_colours_and_keeps_an_images_own_pixels():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = etviz.random_mask(2, generator=torch.Generator().manual_seed(1))
    drawings = [plots.svg_bytes(plots.reconstruction_grid(images, mask, images)) for _ in range(2)]
    assert drawings[0] == drawings[1]
    text = drawings[0].decode()
    assert "prefers-color-scheme:dark" in text
    assert "currentColor" in text
    assert "#222222" not in text.replace("svg{color:#222222}", "")
    found = [Image.open(io.BytesIO(base64.b64decode(part))) for part in re.findall(r"base64,([^\"]+)\"", text)]
    assert [picture.size for picture in found] == [(32, 32)] * 8
    first = np.asarray(found[0].convert("RGB"), dtype=float)
    expected = images[0].permute(1, 2, 0).numpy() * 255
    assert min(np.abs(first - expected).max(), np.abs(first[::-1] - expected).max()) <= 1  # SVG may hold it upside down
