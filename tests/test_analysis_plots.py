"""What the figures of an analysis draw, read back from them and held against other computations."""

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from PIL import Image

import etviz
from etviz import UsageError, analysis, checkpoints, files, plots
from etviz.metrics import masked_mse, masked_psnr
from etviz.plots.style import LINES
from etviz.training import history_csv
from tests.conftest import TINY
from tests.test_plots import drawn, map_of, panels_with_map


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def mask():
    return etviz.random_mask(3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY).eval()


@pytest.fixture(scope="module")
def trace(model, images, mask):
    return model.trace(images, mask)


def points_of(scatter):
    """Of a scatter, sorted."""
    return np.array(sorted(np.asarray(scatter.get_offsets()).tolist()))


# ---- maps and curves ---------------------------------------------------------------------------------------------


def test_energy_maps_show_every_patchs_energy(images, mask, trace):
    figure = plots.token_energy_maps(trace, images, image=1, step=2)
    terms = {"attention energy": trace.attention_energy, "Hopfield energy": trace.hopfield_energy}
    for axes, (name, energy) in zip(panels_with_map(figure), terms.items(), strict=True):
        assert np.allclose(map_of(axes), energy[1, 2, 1:].reshape(8, 8))
        assert axes.get_title() == f"{name}; CLS {energy[1, 2, 0]:,.1f}"
        low, high = energy[1, 2, 1:].min().item(), energy[1, 2, 1:].max().item()
        assert axes.get_images()[0].get_clim() == pytest.approx((low, high))
    expected = etviz.complete(images, trace.frames[:, 2], mask)[1]
    assert torch.equal(drawn(figure.axes[0]), expected)
    assert figure.axes[0].get_title() == "step 2"
    bars = [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert bars == ["energy (no unit)"] * 2


def test_energy_maps_part_hidden_from_visible(images, trace):
    """The border of one hidden patch in the corner: its right and its lower edge."""
    corner = (torch.arange(64) == 0).expand(3, 64)
    figure = plots.token_energy_maps(replace(trace, mask=corner), images)
    for axes in panels_with_map(figure):
        edges = [segment.tolist() for lines in axes.collections for segment in lines.get_segments()]
        assert edges == [[[0.5, -0.5], [0.5, 0.5]], [[-0.5, 0.5], [0.5, 0.5]]]


def test_gradient_norms_are_drawn_as_they_are(trace):
    (axes,) = plots.gradient_norm(trace).axes
    (line,) = axes.get_lines()
    assert np.allclose(line.get_ydata(), trace.gradient_norm.double().numpy().mean(0))
    vertices = axes.collections[0].get_paths()[0].vertices
    low, high = np.quantile(trace.gradient_norm.double().numpy(), [0.1, 0.9], axis=0)
    for step in range(5):
        at_step = vertices[vertices[:, 0] == step, 1]
        assert np.allclose([at_step.min(), at_step.max()], [low[step], high[step]])


def test_energy_and_error_share_their_steps(images, mask, trace):
    left, right = plots.energy_and_error(trace, images, image=2).axes
    assert np.allclose(left.get_lines()[0].get_ydata(), trace.energy[2])
    errors = [masked_mse(images, trace.frames[:, step], mask)[2].item() for step in range(5)]
    curve, least = right.get_lines()
    assert np.allclose(curve.get_ydata(), errors)
    assert least.get_xdata()[0] == np.argmin(errors)
    assert left.get_title(loc="left") == f"least error at step {np.argmin(errors)} of 4"
    assert (left.get_ylabel(), right.get_ylabel()) == ("energy", "masked MSE")


# ---- memories ----------------------------------------------------------------------------------------------------


def cell(picture, index, columns, side=4):
    row, column = divmod(index, columns)
    top, left = row * (side + 1), column * (side + 1)
    return picture[:, top : top + side, left : left + side]


def test_memories_are_drawn_in_the_order_of_their_use(model, trace):
    patches = analysis.memory_patches(model)
    energy = analysis.memory_energy(model, trace)[-1]
    grid, shares = plots.memory_grid(patches, energy, columns=30).axes
    order = np.argsort(energy.numpy(), kind="stable")
    picture = drawn(grid)
    assert picture.shape == (3, 5 * 5 - 1, 5 * 30 - 1)  # 128 memories in 5 rows of 30
    for place in (0, 1, 29, 30, 127):
        assert torch.equal(cell(picture, place, 30), patches[order[place]])
    assert (picture[:, :, 4] == 1).all()  # a gap
    assert (cell(picture, 128, 30) == 1).all()  # beyond the last
    expected = np.cumsum(energy.double().numpy()[order]) / energy.double().numpy().sum()
    assert np.allclose(shares.get_lines()[0].get_ydata(), expected)
    half = np.searchsorted(expected, 0.5) + 1
    assert shares.get_title(loc="left") == f"{half} of 128 carry half"


def test_memories_without_energies_keep_their_order(model):
    patches = analysis.memory_patches(model)
    (grid,) = plots.memory_grid(patches).axes
    assert torch.equal(cell(drawn(grid), 33, 32), patches[33])


def test_memory_places_are_the_energies_of_each_patch(model, trace, images):
    patches = analysis.memory_patches(model)
    energy = torch.stack([analysis.memory_energy_by_token(model, trace, memory)[-1] for memory in (5, 90)])
    axes = plots.memory_places(images[0], patches, energy, [5, 90]).axes
    above, below = axes[1:3], axes[4:6]
    g = model.descent.normalized(trace.tokens[0, -1])[1:]  # (N, D)
    for memory, shown, place in zip((5, 90), above, below, strict=True):
        assert torch.equal(drawn(shown), patches[memory])
        expected = -0.5 * (g @ model.descent.blocks[0].memories[memory]).relu().square()
        assert torch.allclose(torch.from_numpy(map_of(place)).flatten().float(), expected, atol=1e-5)
        assert shown.get_title() == f"memory {memory}"
        assert place.get_xlabel() == f"down to {expected.min():,.0f}"
    with pytest.raises(UsageError, match="2 memories need as many rows"):
        plots.memory_places(images[0], patches, energy[:1], [5, 90])


def test_ratios_are_measured_on_the_same_masks_and_drawn(model, images):
    nothing, ratios = torch.zeros_like, (0.25, 0.5)
    fills = {"model": model.reconstruct, "black": lambda given, _: nothing(given)}
    psnr = analysis.psnr_by_ratio(fills, images, ratios, seed=3)
    for i, ratio in enumerate(ratios):
        its_mask = etviz.random_mask(3, ratio, generator=torch.Generator().manual_seed(3))
        hidden = np.stack([np.kron(m.numpy().reshape(8, 8), np.ones((4, 4), bool)) for m in its_mask])[:, None]
        for name, filled in (("black", nothing(images)), ("model", model.reconstruct(images, its_mask))):
            errors = ((images - filled).numpy() ** 2 * hidden).sum((1, 2, 3)) / (3 * hidden.sum((1, 2, 3)))
            assert psnr[name][i].item() == pytest.approx(-10 * np.log10(errors.mean()), abs=1e-4)
    (axes,) = plots.ratio_curves(ratios, psnr).axes
    for line, values in zip(axes.get_lines(), psnr.values(), strict=True):
        assert np.array_equal(line.get_xdata(), ratios)
        assert np.allclose(line.get_ydata(), values)
    with pytest.raises(UsageError, match="hides none"):
        analysis.psnr_by_ratio(fills, images, [0.001])
    with pytest.raises(UsageError, match="2 ratios need as many"):
        plots.ratio_curves(ratios, {"short": torch.zeros(1)})
    with pytest.raises(UsageError, match="One to 7 lines"):
        plots.ratio_curves(ratios, {})


def test_floors_are_grey_and_dashed_and_take_no_colour():
    psnr = {name: torch.arange(2.0) for name in ("first", "floor", "second")}
    (axes,) = plots.ratio_curves((0.25, 0.5), psnr, floors=["floor"]).axes
    first, floor, second = axes.get_lines()
    assert [line.get_linestyle() for line in (first, floor, second)] == ["-", "--", "-"]
    assert (first.get_color(), second.get_color()) == LINES[:2]
    assert floor.get_color() not in LINES
    eight = {str(i): torch.zeros(2) for i in range(8)}
    assert len(plots.ratio_curves((0.25, 0.5), eight, floors=["7"]).axes[0].get_lines()) == 8
    with pytest.raises(UsageError, match="not 8"):
        plots.ratio_curves((0.25, 0.5), eight)


def test_descents_are_compared_by_their_mean_energies(model, images, mask):
    traces = {"slow": model.trace(images, mask), "fast": model.trace(images, mask, step_size=3.0, steps=7)}
    figure = plots.compare_descents(traces)
    (axes,) = figure.axes
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for line, (name, trace), words in zip(axes.get_lines(), traces.items(), legend, strict=True):
        assert np.allclose(line.get_ydata(), trace.energy.double().mean(0))
        ups = int((trace.energy[:, 1:] > trace.energy[:, :-1]).sum())
        assert words == f"{name}: rose in {ups} of {3 * (len(trace) - 1)} steps"
    with pytest.raises(UsageError, match="One to 7 descents"):
        plots.compare_descents({})


def test_a_comparison_shows_every_fill_and_its_psnr(images, mask):
    fills = {"black as a starless night": torch.zeros_like(images), "white": torch.ones_like(images)}
    axes = np.array(plots.comparison_grid(images, mask, fills).axes).reshape(3, 4)
    psnr = masked_psnr(images, fills["white"], mask)
    for row, image, value in zip(axes, images, psnr, strict=True):
        assert torch.allclose(drawn(row[3]), image)
        assert row[2].get_xlabel() == f"{value:.1f} dB"
    assert torch.allclose(drawn(axes[0, 1]), etviz.complete(images, fills["black as a starless night"], mask)[0])
    assert [cell.get_title() for cell in axes[0]] == ["masked", "black as a\nstarless night", "white", "original"]


def test_a_notebook_shows_a_figure_as_a_picture(model):
    """With no magic: a PNG, and the size to show it at."""
    figure = plots.memory_grid(analysis.memory_patches(model))
    data, shown = figure._repr_png_()
    width, height = Image.open(io.BytesIO(data)).size
    assert (width, height) == tuple(int(144 * inches) for inches in figure.get_size_inches())
    assert shown["width"] == pytest.approx(width * 96 / 144, abs=1)


def test_memories_that_do_not_fit_are_refused(model):
    patches = analysis.memory_patches(model)
    with pytest.raises(UsageError, match="columns must be at least 1"):
        plots.memory_grid(patches, columns=0)
    with pytest.raises(UsageError, match="128 memories need as many energies"):
        plots.memory_grid(patches, torch.zeros(5, 128))


# ---- landscape ---------------------------------------------------------------------------------------------------


def test_the_line_shows_the_state_and_the_next_one(model, trace):
    line = analysis.energy_along_gradient(model, trace, image=1, step=2)
    (axes,) = plots.landscape_line(line).axes
    curve, _, here, after = axes.get_lines()
    assert np.allclose(curve.get_xdata(), line.sizes)
    assert np.allclose(curve.get_ydata(), line.energy)
    assert here.get_xydata().tolist() == [[0, pytest.approx(trace.energy[1, 2].item(), rel=1e-5)]]
    assert after.get_xydata()[0] == pytest.approx([0.1, trace.energy[1, 3].item()], rel=1e-5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["state 2", "a = 0.1"]


def test_the_plane_shows_ground_path_and_variance(model, trace):
    plane = analysis.energy_plane(model, trace, image=1, points=7)
    axes, bar = plots.landscape_plane(plane).axes
    dots = axes.collections[-1]
    assert np.allclose(dots.get_offsets(), plane.path)
    assert np.allclose(dots.get_array(), trace.energy[1])
    assert np.allclose(axes.get_lines()[0].get_xydata(), plane.path)
    (ground,) = [c for c in axes.collections if getattr(c, "filled", False)]
    assert ground.norm is dots.norm  # one scale, so that colours compare
    assert ground.levels[0] <= plane.energy.min() < plane.energy.max() <= ground.levels[-1]
    assert (*axes.get_xlim(), *axes.get_ylim()) == pytest.approx(
        [*plane.first[[0, -1]].tolist(), *plane.second[[0, -1]].tolist()]
    )
    assert f"{plane.variance[0] + plane.variance[1]:.1%}" in axes.get_title(loc="left")
    assert axes.get_ylabel() == f"second component, {plane.variance[1]:.1%}"
    assert bar.get_ylabel() == "energy (no unit)"


def test_the_ground_is_the_energy_at_its_place(model, trace):
    """A contour filled between two levels holds exactly the grid points whose energy lies between them."""
    plane = analysis.energy_plane(model, trace, image=1, points=7)
    (ground,) = [c for c in plots.landscape_plane(plane).axes[0].collections if getattr(c, "filled", False)]
    for row, column in ((1, 2), (3, 3), (5, 1), (4, 5)):
        place = (plane.first[column].item(), plane.second[row].item())
        inside = [index for index, path in enumerate(ground.get_paths()) if path.contains_point(place)]
        assert inside == [np.searchsorted(ground.levels, plane.energy[row, column].item()) - 1]


# ---- perturbations -----------------------------------------------------------------------------------------------


def test_perturbations_show_curves_ends_and_pictures(model, images, mask):
    result = analysis.perturbed_descents(model, images[:1], mask[:1], noise=1.0, count=3)
    result = replace(result, same_basin=torch.tensor([True, False, True]))
    figure = plots.perturbations(result)
    curves, ends, *cells = figure.axes
    assert len(curves.get_lines()) == 4
    for line, energy, color in zip(curves.get_lines(), result.energy, ("#0072B2", "#D55E00", "#0072B2"), strict=False):
        assert np.allclose(line.get_ydata(), energy)
        assert line.get_color() == color
    assert np.allclose(curves.get_lines()[3].get_ydata(), model.trace(images[:1], mask[:1]).energy[0], rtol=1e-4)
    assert curves.get_title(loc="left") == "noise 1: 2 of 3 in the same basin"
    other, same, undisturbed = ends.collections
    places = torch.stack([result.energy[:, -1], result.masked_mse], dim=1).numpy()
    assert np.allclose(points_of(other), places[[1]])
    assert np.allclose(points_of(same), sorted(places[[0, 2]].tolist()))
    assert tuple(other.get_facecolor()[0]) == to_rgba("#D55E00")
    assert points_of(undisturbed)[0] == pytest.approx([result.reference_energy[-1].item(), result.reference_mse])
    shown = [axes for axes in cells if axes.get_visible()]
    labels = ["undisturbed", "same basin", "another basin", "same basin"]
    assert [axes.get_title() for axes in shown] == labels
    for axes, picture in zip(shown, [result.reference_frame, *result.frames], strict=True):
        assert torch.equal(drawn(axes), picture)


# ---- training ----------------------------------------------------------------------------------------------------


ROWS = [
    dict(step=10 * i, epoch=i / 2, images=160 * i, seconds=2.0 * i, lr=0.01 / i, train_loss=1 / i)
    | dict(gradient_norm=0.5, images_per_second=80.0 + i, masked_mse=0.1 / i, masked_psnr=10.0 + i)
    for i in (1, 2, 3)
]


@pytest.fixture
def run(model, tmp_path):
    """A run folder with a history and two snapshots of different weights."""
    checkpoints.save_checkpoint(model, tmp_path, {})
    files.write_text(tmp_path / "history.csv", history_csv(ROWS))
    other = etviz.create_model("et", **TINY)
    checkpoints.save_snapshot(other, tmp_path, 5, 0.25, 80)
    checkpoints.save_snapshot(model, tmp_path, 40, 12.0, 640)
    return tmp_path


def test_training_curves_of_a_run_and_of_its_rows(run):
    for history in (run, ROWS):
        for axes, name in zip(
            plots.training_curves(history).axes,
            ("train_loss", "masked_psnr", "lr", "images_per_second"),
            strict=True,
        ):
            (line,) = axes.get_lines()
            assert line.get_xdata().tolist() == [0.5, 1.0, 1.5]
            assert line.get_ydata().tolist() == pytest.approx([row[name] for row in ROWS])
            assert axes.get_xlabel() == "epoch"


def test_a_history_that_is_not_there_is_refused(run):
    with pytest.raises(UsageError, match="no row yet"):
        plots.training_curves([])
    for text in ("epoch,lr\n1,high\n", "epoch,lr\n1\n"):
        (run / "history.csv").write_text(text)
        with pytest.raises(UsageError, match="no table of numbers"):
            plots.training_curves(run)
    (run / "history.csv").unlink()
    with pytest.raises(UsageError, match="is missing"):
        plots.training_curves(run)


def test_snapshots_rebuild_the_same_images(run, images, mask):
    first, last = analysis.snapshot_frames(run, images, mask)
    assert (first.epoch, first.images_seen, last.epoch, last.images_seen) == (0.25, 80, 12.0, 640)
    for frame in (first, last):
        expected = etviz.load_model(run, snapshot=frame.snapshot).reconstruct(images, mask)
        assert torch.equal(frame.reconstruction, expected)
        assert torch.equal(frame.masked_mse, masked_mse(images, expected, mask))
    assert not torch.equal(first.reconstruction, last.reconstruction)


def test_the_epoch_strip_shows_each_snapshot(run, images, mask):
    axes = np.array(plots.epoch_strip(run, images, mask).axes).reshape(3, 4)
    assert [cell.get_title() for cell in axes[0]] == ["masked", "epoch 0.25", "epoch 12", "original"]
    frames = list(analysis.snapshot_frames(run, images, mask))
    for index, row in enumerate(axes):
        assert torch.equal(drawn(row[0]), plots.hide_patches(images, mask)[index])
        assert torch.equal(drawn(row[3]), images[index])
        for picture, frame in zip(row[1:3], frames, strict=True):
            assert torch.equal(drawn(picture), etviz.complete(images, frame.reconstruction, mask)[index])
            psnr = masked_psnr(images, frame.reconstruction, mask)[index]
            assert picture.get_xlabel() == f"{psnr:.1f} dB"


def test_a_run_without_snapshots_is_refused(model, images, mask, tmp_path):
    checkpoints.save_checkpoint(model, tmp_path / "bare", {})
    with pytest.raises(UsageError, match="no snapshots"):
        plots.epoch_strip(tmp_path / "bare", images, mask)


# ---- all ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, i: plots.token_energy_maps(t, i, image=3), "no image 3"),
        (lambda t, i: plots.token_energy_maps(t, i, step=5), "no step 5"),
        (lambda t, i: plots.token_energy_maps(t, i[:2]), "is not of"),
        (lambda t, i: plots.energy_and_error(t, i, image=-4), "no image -4"),
        (lambda t, i: plots.energy_and_error(t, i[:2]), "is not of"),
        (lambda t, i: plots.gradient_norm([]), "one length"),
    ],
)
def test_places_that_do_not_exist_are_refused(images, trace, call, message):
    with pytest.raises(UsageError, match=message):
        call(trace, images)


def test_every_figure_is_written_without_pyplot(tmp_path):
    code = """
import sys, torch, etviz
from etviz import analysis, plots
images, mask = torch.rand(2, 3, 32, 32), etviz.random_mask(2)
model = etviz.create_model("et", embed_dim=32, num_heads=2, head_dim=8, steps=3, step_size=0.1, init_scale=0.1)
trace = model.trace(images, mask)
plots.token_energy_maps(trace, images).savefig(sys.argv[1] + "/maps.png")
plots.gradient_norm(trace).savefig(sys.argv[1] + "/gradient.png")
plots.energy_and_error(trace, images).savefig(sys.argv[1] + "/error.png")
energy = analysis.memory_energy(model, trace)[-1]
plots.memory_grid(analysis.memory_patches(model), energy).savefig(sys.argv[1] + "/memories.png")
plots.landscape_line(analysis.energy_along_gradient(model, trace)).savefig(sys.argv[1] + "/line.png")
plots.landscape_plane(analysis.energy_plane(model, trace, points=5)).savefig(sys.argv[1] + "/plane.png")
result = analysis.perturbed_descents(model, images[:1], mask[:1], count=2)
plots.perturbations(result).savefig(sys.argv[1] + "/perturbations.png")
plots.training_curves("et-small-cifar10").savefig(sys.argv[1] + "/training.png")
plots.epoch_strip("et-small-cifar10", images, mask).savefig(sys.argv[1] + "/epochs.png")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code, str(tmp_path)], check=True)
    names = {"maps", "gradient", "error", "memories", "line", "plane", "perturbations", "training", "epochs"}
    assert {path.stem for path in tmp_path.glob("*.png")} == names
    for name in names:
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5  # not blank
