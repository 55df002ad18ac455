"""What the Landscape and the Guide ask the server, held against the definitions evaluated by themselves."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import etviz
from etviz import analysis
from etviz.checkpoints import save_checkpoint
from tests.conftest import TINY

pytest.importorskip("skimage", reason="the app's extra is not installed")

from etviz.examples import CARRIED, CARRIED_GALLERY, carried_pictures
from etviz.ui.limits import LIMITS
from etviz.ui.payload import decode_pixels, encode_pixels, to_bytes
from etviz.ui.readings.landscape import PLANE_POINTS, RUNS
from etviz.ui.service import Service

MASK = "ffffff0f0ffffffe"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return etviz.create_model("et", **TINY | {"steps": 6}).eval()


@pytest.fixture(scope="module")
def service(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_checkpoint(model, folder / "tiny", {})
    torch.manual_seed(1)
    save_checkpoint(etviz.create_model("et", **TINY | dict(depth=2)), folder / "deep", {})
    service = Service(str(folder / "tiny"), root=str(tmp_path_factory.mktemp("empty")))
    service.checkpoints["deep"] = str(folder / "deep")
    return service


def ask(service, kind, **changes):
    picture = {"dataset": CARRIED_GALLERY, "index": 1}
    question = {"kind": kind, "model": "tiny", "picture": picture, "mask": MASK, **changes}
    answer = service.politely(service.ask, question)
    json.dumps(answer, allow_nan=False)
    return answer


@pytest.fixture(scope="module")
def image():
    return carried_pictures(32).images[1:2].float() / 255


@pytest.fixture(scope="module")
def trace(model, image):
    return model.trace(image, etviz.mask_from_hex(MASK))


def energy_at(model, x):
    """By the paper's formulas, in float64: the layer norm, then eq. 3 and eq. 5. x (N, D)."""
    block = model.descent.blocks[0]
    x = x.double()
    normed = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    g = block.norm.gamma.double() * normed + block.norm.delta.double()
    keys, queries = (torch.einsum("hrd,nd->hnr", weight.double(), g) for weight in (block.key, block.query))
    scores = block.beta * torch.einsum("hqr,hkr->hqk", queries, keys)
    memories = (g @ block.memories.double().T).relu()
    return (-scores.logsumexp(2).sum() / block.beta - memories.square().sum() / 2).item()


# ---- along the gradient ------------------------------------------------------------------------------------------


def test_every_state_has_its_line_and_the_marks_are_the_descents(service, model, trace):
    reading = ask(service, "gradient_lines")
    assert reading["every"] == 1
    assert [line["step"] for line in reading["lines"]] == list(range(7))
    assert [line["moved"] for line in reading["lines"]] == [True] * 6 + [False]
    for step, line in enumerate(reading["lines"]):
        assert line["energy_here"] == pytest.approx(trace.energy[0, step].item(), rel=1e-5)
        if step < 6:
            assert line["energy_next"] == pytest.approx(trace.energy[0, step + 1].item(), rel=1e-5)
    line = reading["lines"][2]
    x, step = trace.tokens[0, 2], trace.tokens[0, 3] - trace.tokens[0, 2]  # the line goes where the step went
    for i in (0, 8, 13, 40):
        share = line["sizes"][i] / line["step_size"]
        assert line["energy"][i] == pytest.approx(energy_at(model, x + share * step), rel=1e-4)
    assert (line["sizes"][0], line["sizes"][-1]) == pytest.approx((-0.1, 0.4))


def test_a_long_descent_has_fewer_lines_than_states(service):
    reading = ask(service, "gradient_lines", settings={"settle": True, "step_size": 0.001})
    assert reading["every"] == 4
    assert [line["step"] for line in reading["lines"]] == list(range(0, 201, 4))
    assert len(reading["lines"]) <= LIMITS.gradient_lines


# ---- on the plane ------------------------------------------------------------------------------------------------


def test_the_plane_is_that_of_the_layer_normed_states(service, model, trace):
    reading = ask(service, "energy_plane")
    tokens = trace.tokens[0].double().numpy()
    states = (tokens - tokens.mean(2, keepdims=True)) / tokens.std(2, keepdims=True)
    flat = states.reshape(len(states), -1)
    _, strengths, components = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    assert reading["variance"] == pytest.approx((strengths**2 / (strengths**2).sum())[:2], rel=1e-4)
    path = np.array(reading["path"])
    for axis in (0, 1):
        expected = strengths[axis] * np.linalg.svd(flat - flat.mean(0), full_matrices=False)[0][:, axis]
        assert np.abs(path[:, axis]) == pytest.approx(np.abs(expected), rel=1e-3, abs=1e-3)
    assert reading["path_energy"] == pytest.approx(trace.energy[0].tolist(), rel=1e-6)
    assert reading["steps"] == list(range(7))
    grid = np.frombuffer(base64.b64decode(reading["energy"]), np.float32).reshape(PLANE_POINTS, PLANE_POINTS)
    sign = np.sign((path * ((flat - flat.mean(0)) @ components[:2].T)).sum(0))  # components have no sign of their own
    for row, column in ((0, 0), (3, 20), (24, 7)):
        place = sign * (reading["first"][column], reading["second"][row])
        x = torch.tensor(flat.mean(0) + place @ components[:2]).reshape(tokens.shape[1:])
        assert grid[row, column] == pytest.approx(energy_at(model, x), rel=1e-4)


def test_a_plane_of_two_blocks_says_which(service):
    reading = ask(service, "energy_plane", model="deep")
    assert (reading["block"], reading["blocks"]) == (1, 2)
    assert reading["steps"] == [4, 5, 6, 7, 8]
    runs = ask(service, "perturbations", model="deep", noise=0.1, seed=0)["runs"]
    assert [len(run["path"]) for run in runs] == [5] * RUNS


def test_a_descent_that_spans_no_plane_is_one_sentence(service):
    assert "three finite states" in ask(service, "energy_plane", settings={"steps": 1})["error"]


# ---- disturbed starts --------------------------------------------------------------------------------------------


def test_disturbed_descents_are_those_of_the_analysis(service, model, image):
    reading = ask(service, "perturbations", noise=0.4, seed=3)
    mask, other = etviz.mask_from_hex(MASK), carried_pictures(32).images[2:3].float() / 255
    reference = analysis.undisturbed_descent(model, image, mask, other=other)
    assert (reading["noise"], reading["seed"], len(reading["runs"])) == (0.4, 3, RUNS)
    assert reading["energy"] == pytest.approx(reference.trace.energy[0, -1].item(), rel=1e-5)
    pixels = mask.reshape(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    for number, run in enumerate(reading["runs"]):
        seed = 3 * RUNS + number
        single = analysis.perturbed_descents(model, image, mask, noise=0.4, count=1, seed=seed, reference=reference)
        assert run["energy"] == pytest.approx(single.energy[0, -1].item(), rel=1e-5)
        assert run["barrier"] == pytest.approx(single.barrier[0].item(), abs=1e-5)
        assert run["same_basin"] == single.same_basin.item()
        frame = decode_pixels(run["frame"], 32).float() / 255
        assert run["mse"] == pytest.approx((frame - image[0])[:, pixels].square().mean().item(), abs=1e-3)
        assert torch.equal(decode_pixels(run["frame"], 32), to_bytes(single.frames[0]))
        same_valley(run["valley"], single.settled)
    assert len({run["energy"] for run in reading["runs"]}) == RUNS
    same_valley(reading["valley"], reference.settled)
    control = reading["control"]
    same_valley(control["valley"], reference.control.settled)
    assert control["barrier"] == pytest.approx(reference.control.barrier, abs=1e-5)
    assert torch.equal(decode_pixels(control["frame"], 32), to_bytes(reference.control.frame))
    assert control["caption"] == carried_pictures(32).caption(2)


def same_valley(given, settled):
    assert (given["steps"] is None) == (not settled.is_settled[0])
    assert given["energy"] == pytest.approx(settled.energy[0].item(), rel=1e-5)
    assert given["mse"] == pytest.approx(settled.masked_mse[0].item(), rel=1e-3)
    assert (decode_pixels(given["frame"], 32).int() - to_bytes(settled.frames[0]).int()).abs().max() <= 1


def test_a_verdict_needs_settled_states(service):
    """The small model settles soon by long steps, and not at all by short ones."""
    slow = ask(service, "perturbations", noise=0.0, seed=0, settings={"step_size": 0.001})
    assert slow["valley"]["steps"] is None
    assert not any(run["same_basin"] for run in slow["runs"])
    quick = ask(service, "perturbations", noise=0.0, seed=0, settings={"step_size": 10.0})
    assert 0 < quick["valley"]["steps"] <= quick["limit"]
    assert all(run["same_basin"] for run in quick["runs"])


def test_without_noise_all_runs_are_the_undisturbed_descent(service):
    path = np.array(ask(service, "energy_plane")["path"])
    reading = ask(service, "perturbations", noise=0, seed=0)
    for run in reading["runs"]:
        assert (run["energy"], run["mse"]) == pytest.approx((reading["energy"], reading["mse"]), rel=1e-5)
        assert run["frame"] == reading["frame"]
        assert run["barrier"] == pytest.approx(0, abs=1e-6)
        assert run["distance_ratio"] is None
        assert np.array(run["path"]) == pytest.approx(path, abs=1e-3)


def test_where_nothing_is_hidden_there_is_no_masked_error(service):
    reading = ask(service, "perturbations", mask="0" * 16, noise=0.1, seed=0)
    assert reading["mse"] is None
    assert all(run["mse"] is None for run in reading["runs"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": -0.1}, "noise is a number from 0 to 2"),
        ({"noise": 2.1}, "noise is a number"),
        ({"noise": "much"}, "noise is a number"),
        ({"noise": True}, "noise is a number"),
        ({"noise": float("nan")}, "noise is a number"),
        ({"noise": None}, "noise is a number"),
        ({"seed": -1}, "seed is a whole number from 0"),
        ({"seed": 0.5}, "seed is a whole number"),
        ({"seed": LIMITS.seed + 1}, "seed is a whole number"),
        ({"seed": "abc"}, "seed is a whole number"),
    ],
)
def test_impossible_disturbances_are_one_sentence(service, changes, words):
    answer = ask(service, "perturbations", **{"noise": 0.1, "seed": 0} | changes)
    assert list(answer) == ["error"]
    assert words in answer["error"]


def test_others_get_their_turn_while_a_long_reading_computes(service):
    """The models are taken while a piece is computed, and free between two pieces."""

    def is_free():
        with ThreadPoolExecutor(1) as elsewhere:  # this thread may take the lock twice
            return elsewhere.submit(try_lock).result()

    def try_lock():
        free = service.lock.acquire(blocking=False)
        if free:
            service.lock.release()
        return free

    meanwhile = []

    def pieces():
        for piece in (1, None, 3):
            meanwhile.append(is_free())
            yield piece

    between = [(piece, is_free()) for piece in service.in_turns(pieces())]
    assert meanwhile == [False, False, False]
    assert between == [(1, True), (None, True), (3, True)]


# ---- the guide ---------------------------------------------------------------------------------------------------


def test_the_sheet_shows_the_memories_that_carry_most(service, model, trace):
    reading = ask(service, "memory_sheet")
    g = model.descent.normalized(trace.tokens[:, -1])[0]
    memories = model.descent.blocks[-1].memories
    carried = (g @ memories.T).relu().square().sum(0)
    order = carried.argsort(descending=True)[: len(reading["patches"])]
    shown = torch.stack([decode_pixels(patch, 4) for patch in reading["patches"]])
    assert torch.equal(shown, to_bytes(analysis.memory_patches(model))[order])
    assert (reading["size"], reading["count"]) == (4, len(memories))
    assert reading["share"] == pytest.approx((carried[order].sum() / carried.sum()).item(), rel=1e-4)


def test_choices_hold_the_right_name_and_stay_the_same(service):
    names = list(CARRIED.values())
    for index in range(len(names)):
        picture = {"dataset": CARRIED_GALLERY, "index": index}
        reading = ask(service, "choices", picture=picture)
        assert reading["label"] == names[index]
        assert reading["label"] in reading["choices"]
        assert len(set(reading["choices"])) == 4
        assert set(reading["choices"]) <= set(names)
        assert reading == ask(service, "choices", picture=picture)


def test_nobody_knows_the_name_of_an_upload(service, image):
    picture = {"pixels": encode_pixels(to_bytes(image[0])), "name": "mine.png"}
    assert ask(service, "choices", picture=picture) == {"choices": [], "label": None}
