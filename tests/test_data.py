from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from etviz import UsageError, data, pictures
from etviz.ui.uploads import read_upload


def test_archive_in_medmnist_layout(archive):
    dataset = data.load_dataset(str(archive))
    raw = np.load(archive)
    assert dataset.train_images.shape == (200, 3, 32, 32)
    assert dataset.train_images.dtype == torch.uint8
    assert np.array_equal(dataset.test_images.permute(0, 2, 3, 1).numpy(), raw["test_images"])
    assert np.array_equal(dataset.train_labels.numpy(), raw["train_labels"][:, 0])
    assert dataset.class_names == ["0", "1", "2"]


def test_grey_archive_of_another_size_is_resized(tmp_path):
    grey = np.full((5, 28, 28), 77, np.uint8)
    np.savez(tmp_path / "g.npz", train_images=grey, train_labels=range(5), test_images=grey, test_labels=range(5))
    dataset = data.load_dataset(str(tmp_path / "g.npz"))
    assert dataset.train_images.shape == (5, 3, 32, 32)
    assert (dataset.train_images == 77).all()


def test_cifar_archive_in_the_root_is_used_before_any_download(tmp_path, archive):
    archive.rename(tmp_path / "cifar10.npz")
    dataset = data.load_dataset("cifar10", root=tmp_path)
    assert dataset.name == "cifar10"
    assert dataset.class_names[3] == "cat"
    assert len(dataset.train_images) == 200


def test_environment_variable_names_the_root(tmp_path, archive, monkeypatch):
    archive.rename(tmp_path / "cifar10.npz")
    monkeypatch.setenv("ETVIZ_DATA", str(tmp_path))
    assert len(data.load_dataset("cifar10").test_images) == 40


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_torchvision_is_asked_to_download(name, tmp_path, monkeypatch):
    """The stand-in writes torchvision's attributes; the real class's file names and sums are torchvision's own."""
    import torchvision.datasets

    asked = []

    class Fake:
        base_folder = "fake"

        def __init__(self, root, train, download):
            asked.append((root, train, download))
            self.data = np.zeros((3 if train else 2, 32, 32, 3), np.uint8)
            self.targets = list(range(len(self.data)))

    monkeypatch.setattr(torchvision.datasets, name.upper(), Fake)
    dataset = data.load_dataset(name, root=tmp_path)
    assert asked == [(str(tmp_path), True, True), (str(tmp_path), False, True)]
    assert dataset.train_labels.tolist() == [0, 1, 2]


def test_torchvisions_own_files_are_read(tmp_path):
    """A pickled batch folder as torchvision leaves it, checked by its sums: a wrong one is as good as none."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"not the real file")
    with pytest.raises(UsageError, match=r"data\.root or ETVIZ_DATA"):
        data.load_dataset("cifar10", root=tmp_path, download=False)


def test_failed_download_says_both_ways_out(tmp_path, monkeypatch):
    import torchvision.datasets.utils

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.cifar, "download_and_extract_archive", refuse)
    with pytest.raises(UsageError, match=r"no route to host.*connect to the network.*ETVIZ_DATA"):
        data.load_dataset("cifar100", root=tmp_path)


def test_superclasses_partition_the_hundred_classes():
    assert len(data.CIFAR100_CLASSES) == len(set(data.CIFAR100_CLASSES)) == 100
    coarse = data.coarse_labels(torch.arange(100))
    assert coarse.bincount().tolist() == [5] * 20
    names = list(data.CIFAR100_SUPERCLASSES)
    assert names[coarse[data.CIFAR100_CLASSES.index("maple_tree")]] == "trees"
    assert names[coarse[data.CIFAR100_CLASSES.index("apple")]] == "fruit and vegetables"


def picture(path, size=(40, 60), color=(10, 200, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def test_image_folder_with_classes(tmp_path):
    for i in range(10):
        picture(tmp_path / "red" / f"{i}.png", color=(255, 0, 0))
        picture(tmp_path / "blue" / f"{i}.jpg", color=(0, 0, 255))
    dataset = data.load_dataset(str(tmp_path), img_size=16)
    assert dataset.class_names == ["blue", "red"]
    assert len(dataset.train_images) == 18
    assert len(dataset.test_images) == 2
    reds = dataset.train_images[dataset.train_labels == 1]
    assert reds.shape == (9, 3, 16, 16)
    assert (reds[:, 0] == 255).all()
    assert (reds[:, 1:] == 0).all()


def test_image_folder_with_its_own_split(tmp_path):
    picture(tmp_path / "train" / "a" / "1.png")
    picture(tmp_path / "train" / "b" / "2.png")
    picture(tmp_path / "test" / "b" / "3.png")
    dataset = data.load_dataset(str(tmp_path))
    assert (len(dataset.train_images), dataset.test_labels.tolist()) == (2, [1])


def test_grayscale_alpha_and_rotation_are_handled(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    wide = Image.new("RGB", (64, 32))
    wide.paste((255, 255, 255), (0, 0, 32, 32))  # white on the left, so on top when turned
    wide.save(tmp_path / "turned.jpg", exif=exif)
    turned = pictures.read_picture(tmp_path / "turned.jpg", 32)
    assert turned[:, :10].float().mean() > 240
    assert turned[:, -10:].float().mean() < 15
    Image.new("LA", (9, 9), (100, 50)).save(tmp_path / "grey.png")
    assert pictures.read_picture(tmp_path / "grey.png", 8).shape == (3, 8, 8)


def test_deep_greys_and_transparency_are_read_as_an_upload_is(tmp_path):
    """16 bits become 8, and clear pixels white, in folders and on the page alike."""
    ramp = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    clear = Image.new("RGBA", (32, 32), (200, 100, 0, 0))
    clear.paste((200, 100, 0, 128), (0, 0, 32, 16))
    clear.save(tmp_path / "clear.png")
    deep, laid = (pictures.read_picture(tmp_path / name, 32) for name in ("deep.png", "clear.png"))
    assert (deep.float() - torch.from_numpy(ramp / 257.0)).abs().max() <= 1.01
    assert (laid[:, 16:] == 255).all()
    for channel, value in enumerate((200, 100, 0)):
        assert (laid[channel, :16].float() - (value * 128 + 255 * 127) / 255).abs().max() <= 1
    for name, pixels in (("deep.png", deep), ("clear.png", laid)):
        assert torch.equal(read_upload((tmp_path / name).read_bytes(), 32), pixels)


def test_damaged_picture_is_one_sentence(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(UsageError, match=r"bad\.png.*cannot be read as a picture"):
        data.load_dataset(str(tmp_path))


def test_wrong_archives_are_one_sentence(tmp_path, archive):
    (tmp_path / "text.npz").write_text("hello")
    truncated = tmp_path / "half.npz"
    truncated.write_bytes(archive.read_bytes()[:-5000])
    np.savez(tmp_path / "keys.npz", images=np.zeros(3))
    floats = np.zeros((2, 32, 32, 3))
    np.savez(tmp_path / "float.npz", train_images=floats, train_labels=[0, 1], test_images=floats, test_labels=[0, 1])
    for name, message in [
        ("text.npz", "archive"),
        ("half.npz", "archive"),
        ("keys.npz", "lacks train_images"),
        ("float.npz", "must be uint8"),
        ("none.npz", "no archive"),
    ]:
        with pytest.raises(UsageError, match=message):
            data.load_dataset(str(tmp_path / name))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.0, np.nan]), "train_labels must be whole numbers .* not float64"),
        (np.array(["a", "b"]), "must be whole numbers"),
        (np.array([0, -1]), "must lie between 0 and 99,999, not -1 to 0"),
        (np.array([0, 2**62]), "must lie between 0 and 99,999"),
        (np.array([0, 2**63], np.uint64), "must lie between 0 and 99,999"),
        (np.zeros((2, 0), int), r"not int64 \(2, 0\)"),
        (np.array(3), "must be whole numbers of shape"),
    ],
)
def test_labels_that_are_no_classes(tmp_path, labels, message):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels, test_images=images, test_labels=[0, 1])
    with pytest.raises(UsageError, match=message):
        data.load_dataset(str(tmp_path / "a.npz"))


def test_images_without_pixels(tmp_path):
    images = np.zeros((2, 0, 32, 3), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=[0, 1], test_images=images, test_labels=[0, 1])
    with pytest.raises(UsageError, match="hold no pixels"):
        data.load_dataset(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(("name", "largest"), [("cifar10", 9), ("cifar100", 99), ("cifar100_coarse", 99)])
def test_labels_beyond_cifars_classes(tmp_path, name, largest):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    arrays = dict(train_images=images, test_images=images, test_labels=[0, 1])
    path = tmp_path / f"{name.removesuffix('_coarse')}.npz"
    np.savez(path, train_labels=[0, largest], **arrays)
    data.load_dataset(name, root=tmp_path)
    np.savez(path, train_labels=[0, largest + 1], **arrays)
    with pytest.raises(UsageError, match=f"holds the label {largest + 1}: .* end at {largest}"):
        data.load_dataset(name, root=tmp_path)


@pytest.mark.parametrize("name", ["~nosuch", "x" * 5000, "x" * 5000 + ".npz", "~nosuch/x.npz", 5])
def test_paths_that_cannot_be(name):
    with pytest.raises(UsageError, match=r"no dataset|no archive"):
        data.load_dataset(name)


def test_a_root_that_cannot_be(tmp_path):
    with pytest.raises(UsageError, match="was not found"):
        data.load_dataset("cifar10", root="~nosuch/data", download=False)


@pytest.mark.parametrize("size", [0, -32, 2.5, "32"])
def test_sizes_that_cannot_be(archive, size):
    with pytest.raises(UsageError, match="img_size must be"):
        data.load_dataset(str(archive), img_size=size)


def test_a_dataset_knows_where_it_is_found_from_anywhere(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(archive.parent)
    found = data.load_dataset(archive.name)
    assert (found.name, found.source) == ("squares", str(archive))
    assert found.to("cpu").source == str(archive)
    picture(tmp_path / "shots" / "a.png")
    assert data.load_dataset("shots").source == str(tmp_path / "shots")
    archive.rename(tmp_path / "cifar10.npz")
    assert data.load_dataset("cifar10", root=".").source == "cifar10"


def test_what_torchvision_prints_is_no_output_of_ours(tmp_path, monkeypatch, capsys):
    import torchvision.datasets

    class Chatty:
        base_folder = "fake"

        def __init__(self, root, train, download):
            print("Files already downloaded and verified")
            self.data, self.targets = np.zeros((2, 32, 32, 3), np.uint8), [0, 1]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Chatty)
    data.load_dataset("cifar10", root=tmp_path)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("already downloaded") == 2


def test_unknown_dataset_and_empty_folder(tmp_path):
    with pytest.raises(UsageError, match="no dataset 'imagenet'"):
        data.load_dataset("imagenet")
    with pytest.raises(UsageError, match="holds no pictures"):
        data.load_dataset(str(tmp_path))


def test_holdout_is_fixed_and_disjoint():
    train, held_out = data.holdout_split(1000, 100)
    again = data.holdout_split(1000, 100)
    assert torch.equal(train, again[0])
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(1000))
    with pytest.raises(UsageError, match=r"train\.validation_images must lie between 1 and 9"):
        data.holdout_split(10, 10)
    with pytest.raises(UsageError, match="1 image to train on: it takes 2"):
        data.holdout_split(1, 1)


def test_augment_crops_and_flips():
    images = torch.rand(3, 3, 32, 32)
    centre = torch.full((3, 2), data.CROP_PADDING)
    none, all_ = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    assert torch.equal(data.augment(images, none, centre), images)
    assert torch.equal(data.augment(images, all_, centre), images.flip(3))
    moved = data.augment(images, none, torch.tensor([[6, 3]] * 3))  # two pixels down, one left
    assert torch.equal(moved[:, :, :-2, 1:], images[:, :, 2:, :-1])
    assert torch.equal(
        moved[:, :, -1],
        data.augment(images, none, centre)[:, :, 29]
        .roll(1, dims=-1)
        .index_copy(-1, torch.tensor([0]), images[:, :, 29, 1:2]),
    )


def test_resize_crops_the_centre():
    images = torch.zeros(2, 3, 20, 40, dtype=torch.uint8)
    images[..., 10:30] = 200
    assert (data.resize(images, 8) == 200).all()


def test_real_cifar10_is_what_it_should_be(cifar10):
    assert cifar10.train_images.shape == (50_000, 3, 32, 32)
    assert cifar10.test_images.shape == (10_000, 3, 32, 32)
    assert cifar10.train_labels.bincount().tolist() == [5000] * 10
    assert cifar10.test_labels.bincount().tolist() == [1000] * 10
    mean = data.to_float(cifar10.train_images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=2e-4, rtol=0)


def test_data_is_looked_for_here_then_beside_the_package(tmp_path, monkeypatch):
    """A notebook runs in a folder of its own, and finds the data of the clone all the same."""
    monkeypatch.delenv("ETVIZ_DATA", raising=False)
    monkeypatch.setattr(data, "__file__", str(tmp_path / "clone" / "etviz" / "data.py"))
    (tmp_path / "clone" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "clone" / "notebooks")
    assert data.data_root() == Path("data")  # neither is there: this one is made by a download
    (tmp_path / "clone" / "data").mkdir()
    assert data.data_root() == tmp_path / "clone" / "data"
    (tmp_path / "clone" / "notebooks" / "data").mkdir()
    assert data.data_root() == Path("data")
    assert data.data_root("~/x") == Path.home() / "x"
