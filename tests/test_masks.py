import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from etviz import UsageError, masks


@given(st.floats(0, 1), st.integers(1, 5))
def test_random_mask_hides_exactly_the_ratio(ratio, batch):
    mask = masks.random_mask(batch, ratio)
    assert mask.shape == (batch, 64)
    assert mask.dtype == torch.bool
    assert (mask.sum(1) == int(64 * ratio)).all()


def test_reference_ratio_hides_54_of_64():
    assert masks.random_mask(3, 0.85).sum(1).tolist() == [54, 54, 54]


def test_random_mask_is_reproducible_and_differs_between_images():
    first, second = (masks.random_mask(2, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_ties_in_the_noise_do_not_change_the_number_hidden():
    assert masks.mask_from_noise(torch.zeros(2, 64), 54).sum(1).tolist() == [54, 54]


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.85, 1.0])
def test_block_mask_is_compact(ratio):
    mask = masks.block_mask(20, ratio, generator=torch.Generator().manual_seed(0))
    assert (mask.sum(1) == int(64 * ratio)).all()
    for image in mask:  # no visible patch is nearer to the block's centre than a hidden one is far, ring by ring
        hidden = {(i // 8, i % 8) for i in image.nonzero()[:, 0].tolist()}
        visible = {(r, c) for r in range(8) for c in range(8)} - hidden

        def compact_about(centre, hidden=hidden, visible=visible):
            def ring(p):
                return max(abs(p[0] - centre[0]), abs(p[1] - centre[1]))

            return max(map(ring, hidden)) <= min(map(ring, visible), default=8)

        assert any(compact_about((r, c)) for r in range(8) for c in range(8))


def test_grid_center_and_half():
    grid = masks.grid_mask()[0].reshape(8, 8)
    assert grid.sum() == 32
    assert not (grid[:, 1:] & grid[:, :-1]).any()
    assert not (grid[1:] & grid[:-1]).any()
    center = masks.center_mask()[0].reshape(8, 8)
    assert center.sum() == 16
    assert center[2:6, 2:6].all()
    assert masks.half_mask(which="top")[0].reshape(8, 8)[:4].all()
    assert masks.half_mask(which="left")[0].reshape(8, 8)[:, 4:].sum() == 0


@given(st.integers(0, 2**64 - 1))
def test_hex_round_trip(number):
    text = f"{number:016x}"
    assert masks.mask_to_hex(masks.mask_from_hex(text)) == text


def test_hex_puts_patch_zero_in_the_highest_bit():
    mask = torch.zeros(1, 64, dtype=torch.bool)
    mask[0, 0] = mask[0, 63] = True
    assert masks.mask_to_hex(mask) == "8000000000000001"


@pytest.mark.parametrize("text", ["", "123", "g" * 16, "0x" + "0" * 14, "+" + "0" * 15, None, "0" * 17])
def test_bad_hex_is_one_sentence(text):
    with pytest.raises(UsageError, match="16 hexadecimal digits"):
        masks.mask_from_hex(text)


def test_hex_is_for_one_mask_of_a_multiple_of_four():
    with pytest.raises(UsageError, match="49 patches has no hexadecimal form"):
        masks.mask_from_hex("0" * 12, 49)
    with pytest.raises(UsageError, match="49 patches has no hexadecimal form"):
        masks.mask_to_hex(torch.zeros(1, 49, dtype=torch.bool))
    with pytest.raises(UsageError, match=r"not \(2, 64\)"):
        masks.mask_to_hex(torch.zeros(2, 64, dtype=torch.bool))
    assert masks.mask_to_hex(torch.zeros(64, dtype=torch.bool)) == "0" * 16


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_ratio_outside_0_to_1(ratio):
    with pytest.raises(UsageError, match="between 0 and 1"):
        masks.random_mask(1, ratio)


def test_mask_to_pixels_covers_whole_patches():
    mask = torch.zeros(1, 64, dtype=torch.bool)
    mask[0, 9] = True  # row 1, column 1
    pixels = masks.mask_to_pixels(mask, 4)
    assert pixels.shape == (1, 1, 32, 32)
    assert pixels[0, 0, 4:8, 4:8].all()
    assert pixels.sum() == 16


def test_a_mask_survives_its_picture_at_every_size(tmp_path):
    for count, patch_size in ((64, 4), (64, 1), (16, 8), (256, 3)):
        mask = masks.random_mask(1, 0.6, count, generator=torch.Generator().manual_seed(count))
        picture = masks.mask_to_image(mask, patch_size)
        assert picture.size == (patch_size * int(count**0.5),) * 2
        picture.save(tmp_path / "mask.png")
        assert torch.equal(masks.mask_from_image(Image.open(tmp_path / "mask.png"), count), mask)


def test_a_mask_picture_is_white_where_hidden():
    pixels = np.asarray(masks.mask_to_image(masks.half_mask(which="left")))
    assert pixels.shape == (32, 32)
    assert (pixels[:, :16] == 255).all()
    assert (pixels[:, 16:] == 0).all()


def test_a_picture_hides_where_it_is_white_or_transparent():
    picture = Image.new("RGBA", (80, 80), "black")
    picture.paste((255, 255, 255, 255), (0, 0, 10, 10))  # patch 0: white
    picture.paste((0, 0, 0, 0), (10, 0, 20, 10))  # patch 1: black, but transparent
    picture.paste((255, 255, 255, 255), (20, 0, 25, 10))  # patch 2: white by half exactly, which is not more than half
    picture.paste((255, 255, 255, 255), (30, 0, 36, 10))  # patch 3: by six tenths
    picture.paste((0, 255, 0, 255), (40, 0, 50, 10))  # patch 4: green is light
    picture.paste((255, 0, 0, 255), (50, 0, 60, 10))  # patch 5: red is dark
    assert masks.mask_to_hex(masks.mask_from_image(picture)) == "d8" + 14 * "0"


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_picture_of_any_size_is_a_mask(width, height):
    assert masks.mask_from_image(Image.new("L", (width, height), "white")).all()
    assert not masks.mask_from_image(Image.new("L", (width, height), "black")).any()


def test_check_mask_names_what_is_wrong():
    with pytest.raises(UsageError, match="boolean"):
        masks.check_mask(torch.zeros(1, 64), 1, 64)
    with pytest.raises(UsageError, match=r"\(2, 64\)"):
        masks.check_mask(torch.zeros(1, 64, dtype=torch.bool), 2, 64)
