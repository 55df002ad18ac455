"""What a recipe may add to training: drawn steps, a moving average, mixed masks, decay of matrices alone, Muon."""

from collections import Counter

import pytest
import torch

import etviz
from etviz import UsageError
from etviz.masks import block_noise, mask_from_noise, side_noise, stroke_mask, stroke_noise
from etviz.training import Callback, State, TrainConfig, fit, make_optimizers
from etviz.training.batches import TrainStep, draw_batch, epoch_order
from etviz.training.descents import draw_descent
from etviz.training.mixture import draw_share
from etviz.training.muon import Muon, orthogonalised
from tests.test_training import OPTIONS, QUICK, InterruptAt, squares, weights  # noqa: F401 - squares is a fixture

KINDS = {**OPTIONS, "mae": OPTIONS["mixedae"], "simmim": dict(embed_dim=8, depths=(1, 1), num_heads=(1, 2))}
SCHEDULE = {2: 0.1, 3: 0.5, 4: 0.2, 6: 0.1, 12: 0.1}
PAINT = dict(masks="mixture", ema=0.9, optimizer="muon", descent_steps={1: 0.5, 2: 0.5}, flow_time=(0.5, 2.0))


def tiny(name: str = "et", **options):
    torch.manual_seed(0)
    return etviz.create_model(name, **(KINDS[name] | options))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def grid(count: int):
    return [(i + 0.5) / count for i in range(count)]


# ---- steps -----------------------------------------------------------------------------------------------------------


def test_steps_are_drawn_by_their_weights_and_keep_the_flow_time():
    model = tiny(steps=12, step_size=0.1)
    config = TrainConfig(descent_steps=SCHEDULE)
    drawn = [draw_descent(model, config, 0.0, (draw, 0.7)) for draw in grid(1000)]
    assert Counter(d["steps"] for d in drawn) == {steps: 1000 * weight for steps, weight in SCHEDULE.items()}
    assert all(d["steps"] * d["step_size"] == pytest.approx(1.2) for d in drawn)


def test_flow_time_is_drawn_between_its_factors():
    model = tiny(steps=4, step_size=0.5)
    config = TrainConfig(flow_time=(0.5, 2.0))
    flows = [draw_descent(model, config, 0.0, (0.3, draw)) for draw in grid(101)]
    assert {flow["steps"] for flow in flows} == {4}
    sizes = torch.tensor([flow["step_size"] for flow in flows])
    assert sizes.min() == pytest.approx(0.25, rel=0.05)
    assert sizes.max() == pytest.approx(1.0, rel=0.05)
    assert sizes.mean() == pytest.approx(0.625)


def test_the_last_part_is_mostly_at_the_models_own_steps():
    model = tiny(steps=12, step_size=0.1)
    config = TrainConfig(descent_steps={3: 1}, own_steps_from=0.9)
    drawn = [draw_descent(model, config, 0.9, (draw, 0.5)) for draw in grid(100)]
    assert Counter(d["steps"] for d in drawn) == {12: 60, 6: 15, 3: 15, 20: 10}
    assert all(d["step_size"] == pytest.approx(1.2 / min(d["steps"], 12)) for d in drawn)
    assert draw_descent(model, config, 0.899, (0.1, 0.5))["steps"] == 3


@pytest.mark.parametrize("name", ["mae", "simmim", "mixedae", "beit"])
def test_models_without_an_energy_have_no_steps_to_draw(name):
    config = TrainConfig(descent_steps=SCHEDULE, own_steps_from=0.5, flow_time=(0.5, 2.0))
    assert draw_descent(tiny(name), config, 0.7, (0.5, 0.5)) == {}


@pytest.mark.filterwarnings("ignore")
def test_drawn_steps_and_masks_compile_as_one_graph():
    """With the eager backend, which needs no compiler: a graph for each number of steps, none for a size or a share."""
    config = TrainConfig(masks="mixture", batch_size=4, flow_time=(0.5, 2.0), descent_steps={1: 0.5, 2: 0.5})
    step, state = TrainStep(tiny().train(), True, True), State(tiny(), config, 16, 16, None)
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    data = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    for state.step in range(16):
        batch = draw_batch(torch.arange(64), state, 0, 1)
        torch.testing.assert_close(compiled(data, batch), step(data, batch))


@pytest.mark.parametrize("name", ["et", "et_asym"])
def test_a_step_descends_as_drawn(name):
    """In both of the asymmetric one's descents."""
    model, images, mask = tiny(name, steps=3), torch.rand(2, 3, 32, 32), torch.rand(2, 64) < 0.5
    own = model.descent.steps * model.descent.step_size
    coarse = model.loss(images, mask, steps=1, step_size=own)
    assert coarse != model.loss(images, mask)
    for descent in (model.descent, getattr(model, "encoder", model.descent)):
        descent.steps, descent.step_size = 1, own
    assert coarse == model.loss(images, mask)


# ---- masks -----------------------------------------------------------------------------------------------------------


def drawn_masks(config: TrainConfig, steps: int) -> list[torch.Tensor]:
    """The masks of so many batches, each (B, 64) and checked to hide equally many patches."""
    state, masks = State(tiny(), config, steps, steps, None), []
    order = torch.arange(steps * config.batch_size)
    for state.step in range(steps):
        batch = draw_batch(order, state, 0, 1)
        masks.append(mask_from_noise(batch.noise, batch.hidden))
        assert (masks[-1].sum(dim=1) == batch.hidden).all()
    return masks


def test_half_of_a_mixtures_batches_hide_the_ratio():
    counts = Counter(int(masks[0].sum()) for masks in drawn_masks(TrainConfig(masks="mixture", batch_size=2), 800))
    assert 0.45 < counts.pop(54) / 800 < 0.56
    assert min(counts) == 2
    assert max(counts) == 62
    assert len(counts) > 55
    few = sum(number for count, number in counts.items() if count < 13)
    assert 0.35 < few / sum(counts.values()) < 0.5  # the root of (0.2 - 0.03) / 0.94 is 0.43


def test_shares_of_other_grids():
    for patches in (4, 9, 196):
        counts = [draw_share(patches, draw) for draw in (0.0, *grid(100), 0.999999)]
        assert counts == sorted(counts)
        assert counts[0] >= 1
        assert counts[-1] <= patches - 1


def test_masks_are_a_function_of_seed_and_step():
    config = TrainConfig(masks="mixture", batch_size=4)
    one, same = drawn_masks(config, 20), drawn_masks(config, 20)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    other = drawn_masks(TrainConfig(masks="mixture", batch_size=4, seed=1), 20)
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def connected_parts(mask: torch.Tensor) -> int:
    """How many parts a mask (N,) falls into, neighbours being the eight around a patch."""
    side = int(len(mask) ** 0.5)
    left = {divmod(i, side) for i in mask.nonzero()[:, 0].tolist()}
    parts = 0
    while left:
        parts, reached = parts + 1, [left.pop()]
        while reached:
            row, col = reached.pop()
            near = {(row + i, col + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            reached += near
    return parts


def test_strokes_are_connected_and_cover_everything_in_the_end(generator):
    noise = stroke_noise(64, 64, generator)
    assert (mask_from_noise(noise, 64)).all()
    for hidden, most in ((2, 1.3), (4, 1.5), (12, 4.0)):
        strokes = [connected_parts(mask) for mask in mask_from_noise(noise, hidden)]
        at_random = [connected_parts(mask) for mask in mask_from_noise(torch.rand(64, 64), hidden)]
        assert sum(strokes) / 64 < most
        assert sum(strokes) < 0.8 * sum(at_random)
    assert (noise < 2 * 64).float().mean() > 0.95  # painted, not left over
    assert len(mask_from_noise(noise, 12).unique(dim=0)) == 64


def test_stroke_masks_hide_what_they_are_asked_to(generator):
    masks = stroke_mask(8, 0.5, 64, generator)
    assert (masks.sum(dim=1) == 32).all()
    again = stroke_mask(8, 0.5, 64, generator.manual_seed(generator.initial_seed()))
    assert torch.equal(masks, again)


def test_blocks_and_sides_are_in_one_piece(generator):
    for hidden in (3, 16, 40):
        blocks = mask_from_noise(block_noise(64, 64, generator), hidden)
        assert sum(connected_parts(mask) for mask in blocks) < 64 * 1.1
    halves = mask_from_noise(side_noise(200, 64, generator), 32).view(-1, 8, 8).unique(dim=0)
    expected = {etviz.masks.mask_to_hex(etviz.masks.half_mask(1, 64, w)) for w in ("left", "right", "top", "bottom")}
    assert {etviz.masks.mask_to_hex(mask.reshape(-1)) for mask in halves} == expected


@pytest.mark.parametrize("shape", ["random", "block", "strokes", "half"])
def test_a_shapes_weight_may_be_all_or_nothing(shape):
    config = TrainConfig(masks="mixture", mask_shapes={shape: 1.0, "random": 0.0 if shape != "random" else 1.0})
    state = State(tiny(), config, 100, 100, None, step=3)
    assert torch.isfinite(draw_batch(torch.arange(12800), state, 0, 1).noise).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(mask_shapes={"random": 0.0}), "needs a shape with a weight above 0"),
        (dict(mask_shapes=[["cross", 1.0]]), r"mask_shapes\[0\]\[0\] must be one of random, block, strokes, half"),
        (dict(descent_steps={0: 1.0}), r"descent_steps\[0\]\[0\] must be at least 1"),
        (dict(descent_steps=[[3, 0.0]]), r"descent_steps\[0\]\[1\] must be above 0"),
        (dict(descent_steps=[3, 4]), "must be a list"),
        (dict(flow_time=[2.0, 0.5]), "must rise"),
        (dict(ema=1.0), "train.ema must be below 1"),
        (dict(own_steps_from=1.5), "own_steps_from must be at most 1"),
        (dict(optimizer="sgd"), "must be one of adamw, muon"),
        (dict(masks="painted"), "must be one of random, mixture"),
    ],
)
def test_impossible_recipes(options, message):
    with pytest.raises(UsageError, match=message):
        TrainConfig(**options)


# ---- average ---------------------------------------------------------------------------------------------------------


def test_the_moving_average_is_what_is_kept(squares, tmp_path):  # noqa: F811
    """Against the average written out, from the weights after every step."""
    seen = []

    class Spy(Callback):
        def on_log(self, state):
            seen.append(weights(state.model).double())

    config = TrainConfig(epochs=2, ema=0.8, validate_every=2.0, **(QUICK | dict(log_every=1, snapshots=1)))
    model = tiny()
    fit(model, squares, config, tmp_path, [Spy()])
    expected = seen[0]
    for count, current in enumerate(seen[1:], start=1):
        kept = min(0.8, (1 + count) / (10 + count))
        expected = kept * expected + (1 - kept) * current
    torch.testing.assert_close(weights(model).double(), expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(seen[-1], expected, atol=1e-4)
    assert torch.equal(weights(etviz.load_model(tmp_path)), weights(model))  # the one validation was of it
    (snapshot,) = etviz.checkpoints.list_snapshots(tmp_path)
    kept = weights(etviz.load_model(tmp_path, snapshot))
    torch.testing.assert_close(kept, weights(model), atol=1e-3, rtol=1e-3)


# ---- decay and Muon --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_only_matrices_decay(name, optimizer):
    model = tiny(name)
    groups = [
        group
        for made in make_optimizers(model, TrainConfig(optimizer=optimizer, weight_decay=0.1), torch.device("cpu"))
        for group in made.param_groups
    ]
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(decay) == len(trained) == sum(len(group["params"]) for group in groups)
    words = ("bias", "token", "position", "segments")
    for parameter_name, parameter in trained.items():
        spared = parameter.ndim < 2 or any(word in parameter_name for word in words)
        assert decay[id(parameter)] == (0.0 if spared else 0.1), parameter_name


def test_everything_decays_where_asked_to():
    made = make_optimizers(tiny("mae"), TrainConfig(decay="all", weight_decay=0.1), torch.device("cpu"))
    assert [group["weight_decay"] for group in made[0].param_groups] == [0.1]


@pytest.mark.parametrize("name", KINDS)
def test_muon_moves_the_layers_matrices(name):
    model = tiny(name)
    adamw, muon = make_optimizers(model, TrainConfig(optimizer="muon"), torch.device("cpu"))
    names = {id(p): name for name, p in model.named_parameters()}
    moved = [names[id(p)] for group in muon.param_groups for p in group["params"]]
    assert all(".layers." in n or "blocks." in n or "_layers." in n for n in moved)
    assert not any("norm" in n or "bias" in n or "table" in n for n in moved)
    left = [p for group in adamw.param_groups for p in group["params"] if p.ndim > 1]
    assert left  # embeddings and the last layer


def test_muon_needs_layers():
    with pytest.raises(UsageError, match=r"choose train\.optimizer=adamw"):
        make_optimizers(etviz.create_model("tokenizer"), TrainConfig(optimizer="muon"), torch.device("cpu"))


def plain_muon(weight, gradients, lr, momentum, decay):
    """The same in float64, a matrix at a time: momentum, Nesterov, five Newton-Schulz iterations, AdamW's length."""
    weight, buffer = weight.double(), torch.zeros_like(weight, dtype=torch.float64)
    for gradient in gradients:
        buffer = momentum * buffer + (1 - momentum) * gradient.double()
        ahead = momentum * buffer + (1 - momentum) * gradient.double()
        x = ahead if ahead.shape[0] <= ahead.shape[1] else ahead.T
        x = x / x.norm()
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
        x = x if ahead.shape[0] <= ahead.shape[1] else x.T
        weight = weight * (1 - lr * decay) - lr * 0.2 * max(weight.shape) ** 0.5 * x
    return weight


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (3, 8, 16), (2, 16, 8)])
def test_muon_against_a_plain_one(shape, generator):
    start, *gradients = (torch.randn(shape, generator=generator) for _ in range(4))
    parameters = [torch.nn.Parameter(start.clone()) for _ in range(2)]  # the second alike: they go together
    optimizer = Muon(parameters, lr=0.1, momentum=0.9, weight_decay=0.5)
    for gradient in gradients:
        for parameter in parameters:
            parameter.grad = gradient.clone()
        optimizer.step()
    stacks = [t if t.ndim == 3 else t[None] for t in (start, *gradients)]
    expected = torch.stack([plain_muon(w, g, 0.1, 0.9, 0.5) for w, *g in zip(*stacks, strict=True)]).reshape(shape)
    for parameter in parameters:
        assert (parameter.double() - expected).norm() < 0.02 * (expected - start).norm()


def test_orthogonalised_matrices_have_singular_values_near_one(generator):
    out = orthogonalised(torch.randn(4, 16, 40, generator=generator))
    assert out.dtype == torch.float32
    assert ((torch.linalg.svdvals(out) > 0.6) & (torch.linalg.svdvals(out) < 1.3)).all()


# ---- all of it together ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_trains_and_resumes_bit_for_bit_with_all_of_it(name, squares, tmp_path):  # noqa: F811
    config = TrainConfig(epochs=2, own_steps_from=0.7, precision="32-true", **(QUICK | PAINT))
    straight, resumed = tiny(name), tiny(name)
    state = fit(straight, squares, config, tmp_path / "straight")
    assert state.history[-1]["masked_mse"] < 1.0

    with pytest.raises(KeyboardInterrupt):
        fit(tiny(name), squares, config, tmp_path / "stopped", [InterruptAt(6)])
    torch.manual_seed(99)
    again = fit(resumed, squares, config, tmp_path / "stopped", resume=True)
    assert torch.equal(weights(straight), weights(resumed))
    assert [row["masked_mse"] for row in again.history] == [row["masked_mse"] for row in state.history]


def test_a_run_without_its_average_cannot_go_on_with_one(squares, tmp_path):  # noqa: F811
    fit(tiny(), squares, TrainConfig(epochs=1, **QUICK), tmp_path)
    with pytest.raises(UsageError, match=r"train\.ema=0\.0, not 0\.9"):
        fit(tiny(), squares, TrainConfig(epochs=1, ema=0.9, **QUICK), tmp_path, resume=True)


def test_the_paint_recipe_composes_for_every_model():
    from etviz.commands import load_options
    from etviz.train import TrainOptions

    for model in ("et", "et_asym", "mae", "simmim", "mixedae", "beit"):
        config = load_options(TrainOptions, [f"model={model}", "experiment=paint"]).train
        assert config.masks == "mixture"
        assert dict(config.descent_steps) == SCHEDULE
    order = epoch_order(torch.arange(50_000), 0, 0)
    state = State(tiny(steps=12, step_size=0.1), config, 1000, 1000, None)
    drawn = []
    for state.step in range(600):
        drawn.append(draw_batch(order, state, 0, 1).descent["steps"])
    assert set(drawn) == set(SCHEDULE)
    assert 0.42 < drawn.count(3) / 600 < 0.58
