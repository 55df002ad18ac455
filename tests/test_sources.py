"""No picture gets a class or a split by accident: folders of any layout, and archives of any contents."""

import itertools
import os

import numpy as np
import pytest
import torch
from PIL import Image

from etviz import UsageError, data, pictures
from etviz.ui.service import Service


def fill(root, *names):
    """Write pictures, each of its own grey, and give the grey of each name."""
    greys = {}
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        greys[name] = 1 + i
        Image.new("L", (8, 8), 1 + i).save(path)
    return greys


def found(root, greys):
    """(split, class) of each name."""
    dataset = data.load_dataset(str(root), img_size=8)
    names = {grey: name for name, grey in greys.items()}
    splits = {}
    for split in ("train", "test"):
        images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
        for image, label in zip(images, labels.tolist(), strict=True):
            splits[names[int(image.max())]] = (split, dataset.class_names[label])
    return splits


# ---- folders that are read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *(("train", "test"), ("Train", "Test"), ("TRAIN", "TESTING"), ("training", "testing")),
        *(("train", "val"), ("train", "valid"), ("Training", "Validation")),
    ],
)
@pytest.mark.parametrize(
    "layout", ["{split}/{label}", "{label}/{split}", "around/{split}/{label}", "{split}/{label}/x"]
)
def test_splits_of_any_name_and_place(tmp_path, train, test, layout):
    names = [
        (f"{layout.format(split=split, label=label)}/{i}.png", part, label)
        for (split, part), label, i in itertools.product(((train, "train"), (test, "test")), "ab", (0, 1))
    ]
    greys = fill(tmp_path, *(name for name, *_ in names))
    assert found(tmp_path, greys) == {name: (part, label) for name, part, label in names}


def test_validation_pictures_are_neither_trained_on_nor_tested_where_there_is_a_test_split(tmp_path):
    greys = fill(tmp_path, "train/a/0.png", "val/a/1.png", "val/c/1.png", "test/a/2.png", "test/b/3.png")
    assert found(tmp_path, greys) == {
        "train/a/0.png": ("train", "a"),
        "test/a/2.png": ("test", "a"),
        "test/b/3.png": ("test", "b"),
    }
    assert data.load_dataset(str(tmp_path)).class_names == ["a", "b"]


def test_a_split_without_another_is_split_as_pictures_without_splits_are(tmp_path):
    greys = fill(tmp_path, *(f"train/a/{i}.png" for i in range(5)), *(f"train/b/{i}.png" for i in range(6)))
    splits = found(tmp_path, greys)
    assert [name for name, (split, _) in splits.items() if split == "test"] == ["train/a/0.png", "train/b/5.png"]
    assert {label for _, label in splits.values()} == {"a", "b"}


def test_flat_folders_are_of_one_class(tmp_path):
    assert found(tmp_path / "a", fill(tmp_path / "a", "0.png", "1.png")) == {
        "0.png": ("test", "image"),
        "1.png": ("train", "image"),
    }
    assert found(tmp_path / "b", fill(tmp_path / "b", "train/0.png", "test/1.png")) == {
        "train/0.png": ("train", "image"),
        "test/1.png": ("test", "image"),
    }


def test_a_vehicle_may_be_called_train(tmp_path):
    names = [f"{split}/{label}/0.png" for split in ("train", "test") for label in ("train", "bus")]
    assert found(tmp_path, fill(tmp_path, *names)) == {name: tuple(name.split("/")[:2]) for name in names}


def test_depth_below_a_class_does_not_matter(tmp_path):
    splits = found(tmp_path, fill(tmp_path, "a/0.png", "a/x/1.png", "b/y/z/2.png"))
    assert {name: label for name, (_, label) in splits.items()} == {
        "a/0.png": "a",
        "a/x/1.png": "a",
        "b/y/z/2.png": "b",
    }


def test_hidden_files_are_no_pictures(tmp_path):
    shown = fill(tmp_path, "a/0.png", "b/0.png")
    fill(tmp_path, "a/.ipynb_checkpoints/0-checkpoint.png", ".ipynb_checkpoints/c.png", "b/@eaDir/t.jpg", ".a.png")
    for junk in ("a/._0.png", "__MACOSX/a/._0.png", "__MACOSX/0.png", "b/.DS_Store", "b/Thumbs.db"):
        (tmp_path / junk).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / junk).write_bytes(b"\0\5\x16\7")
    assert found(tmp_path, shown) == {"a/0.png": ("test", "a"), "b/0.png": ("train", "b")}
    hidden = tmp_path / ".cache"
    assert len(found(hidden, fill(hidden, "a/0.png", "b/0.png"))) == 2  # a hidden folder may be named


def test_gifs_are_read_and_other_kinds_are_told_of(tmp_path, capsys):
    greys = fill(tmp_path, "a/0.GIF", "a/1.png", "b/0.jfif")
    assert len(found(tmp_path, greys)) == 3
    assert capsys.readouterr().err == ""
    for name in ("a/2.heic", "b/3.AVIF", "b/notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert len(found(tmp_path, greys)) == 3
    told = capsys.readouterr().err
    assert "Left out, since their kind is not read" in told
    assert "2.heic" in told
    assert "3.AVIF" in told
    assert "notes" not in told


def test_links_to_folders_and_files_are_followed_and_loops_end(tmp_path):
    greys = fill(tmp_path / "elsewhere", "0.png", "1.png")
    root = tmp_path / "d"
    (root / "b").mkdir(parents=True)
    (root / "a").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "a" / "up").symlink_to(root, target_is_directory=True)
    (root / "b" / "self").symlink_to(root / "b", target_is_directory=True)
    Image.new("L", (8, 8), 3).save(tmp_path / "two.png")
    (root / "b" / "2.png").symlink_to(tmp_path / "two.png")
    names = {"a/0.png": greys["0.png"], "a/1.png": greys["1.png"], "b/2.png": 3}
    assert {name: label for name, (_, label) in found(root, names).items()} == {
        "a/0.png": "a",
        "a/1.png": "a",
        "b/2.png": "b",
    }
    (root / "a" / "other").symlink_to(root / "b", target_is_directory=True)
    with pytest.raises(UsageError, match="are one file: leave one of them out"):
        data.load_dataset(str(root))


# ---- folders that are refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/a/0.png", "bus/0.png"], "in a folder 'train', as splits are called, but not so"),
        (["train/a/0.png", "test/a/0.png", "0.png"], "but not so '.*0.png'"),
        (["train/a/0.png", "test/a/0.png", "extra/a/0.png"], "put all pictures into splits, or rename the folder"),
        (["a/train/0.png", "a/test/0.png", "b/0.png"], "but not so '.*b/0.png'"),
        (["a/train/0.png", "test/a/0.png"], "but not so"),
        (["x/a/train/0.png", "y/b/test/0.png"], "lies in 2 folders above the split 'train'"),
        (["train/a/0.png", "Train/a/1.png", "test/a/2.png"], "one split twice, as 'Train', 'train'"),
        (["train/a/0.png", "val/a/1.png", "valid/a/2.png"], "one split twice, as 'val', 'valid'"),
        (["train/train/a/0.png", "train/val/a/1.png", "test/a/2.png"], "lies in a split within a split"),
        (["train/a/test/0.png", "test/a/1.png"], "lies in a split within a split"),
        (["a/train/test/0.png", "b/train/1.png"], "lies in a split within a split"),
        (["test/a/0.png", "val/a/0.png"], "none in a folder 'train'"),
        (["val/a/0.png"], "none in a folder 'train'"),
        (["a/0.png", "b/0.png", "0.png"], "and 1 in none, as '.*0.png': put them into folders too"),
        (["train/a/0.png", "train/b/0.png", "test/0.png"], "and 1 in none, as '.*test/0.png'"),
        (["train/cats/0.png", "test/Cats/0.png"], "the classes 'Cats' and 'cats': are they one"),
        (["caf\u00e9/0.png", "cafe\u0301/0.png"], "are they one"),
        (["images/a/0.png", "images/b/0.png"], "lie in folders within 'images': leave out 'images' if"),
        (["train/images/a/0.png", "train/images/b/0.png", "test/images/a/0.png"], "lie in folders within 'images'"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path, names, message):
    fill(tmp_path, *names)
    with pytest.raises(UsageError, match=message) as error:
        data.load_dataset(str(tmp_path))
    assert "\n" not in str(error.value)


def test_one_file_in_two_classes_or_splits_is_refused(tmp_path):
    for i, (one, two) in enumerate((("a/0.png", "b/0.png"), ("train/a/0.png", "test/a/0.png"), ("0.png", "1.png"))):
        for link in (os.link, os.symlink):
            root = tmp_path / f"{i}{link.__name__}"
            fill(root, one)
            (root / two).parent.mkdir(parents=True, exist_ok=True)
            link(root / one, root / two)
            with pytest.raises(UsageError, match="are one file: leave one of them out"):
                data.load_dataset(str(root))


def test_all_damaged_pictures_are_named(tmp_path):
    fill(tmp_path, "a/0.png", "b/0.png")
    for name in ("a/bad.png", "b/worse.jpg"):
        (tmp_path / name).write_bytes(b"no picture")
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(UsageError) as error:
        data.load_dataset(str(tmp_path))
    assert str(error.value).startswith("3 of 5 pictures cannot be read: mend or remove them. ")
    assert all(name in str(error.value) for name in ("bad.png", "worse.jpg", "gone.png"))


def test_a_folder_may_end_as_an_archive_does(tmp_path):
    root = tmp_path / "shots.npz"
    assert len(found(root, fill(root, "0.png", "1.png"))) == 2


# ---- archives ----------------------------------------------------------------------------------------------------


def save(path, names=("train_images", "train_labels", "test_images", "test_labels"), saver=np.savez, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 1, 0]),
        "test_images": rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8),
        "test_labels": np.array([2, 0]),
    } | changes
    saver(path, **dict(zip(names, arrays.values(), strict=True)))
    return arrays


def test_an_archives_suffix_may_be_of_any_case(tmp_path):
    save(tmp_path / "d.npz")
    (tmp_path / "d.npz").rename(tmp_path / "D.NPZ")
    assert len(data.load_dataset(str(tmp_path / "D.NPZ"), img_size=8).train_images) == 5


@pytest.mark.parametrize("saver", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 1), (8, 8), (12, 8, 3)])
def test_archives_are_read_piece_by_piece_as_they_are_at_once(tmp_path, monkeypatch, saver, order, shape):
    from etviz.sources import archives

    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    save(tmp_path / "d.npz", saver=saver, train_images=np.asarray(images, order=order))
    monkeypatch.setattr(archives, "CHUNK", 2 * np.prod(shape))
    dataset = data.load_dataset(str(tmp_path / "d.npz"), img_size=8)
    cut = images[:, 2:10] if shape[0] == 12 else images
    channels = cut if len(shape) == 3 else cut[..., None]
    expected = np.broadcast_to(channels, (5, 8, 8, 3)).transpose(0, 3, 1, 2)
    assert np.array_equal(dataset.train_images.numpy(), expected)
    assert dataset.train_images.is_contiguous()


def test_one_hot_labels_are_classes(tmp_path):
    train, test = (np.eye(9, dtype=np.uint8)[list(labels)] for labels in ([8, 0, 3, 3, 1], [7, 2]))
    save(tmp_path / "d.npz", train_labels=train, test_labels=test)
    dataset = data.load_dataset(str(tmp_path / "d.npz"))
    assert (dataset.train_labels.tolist(), dataset.test_labels.tolist()) == ([8, 0, 3, 3, 1], [7, 2])
    assert len(dataset.class_names) == 9


def test_findings_are_not_one_hot(tmp_path):
    """Of k findings, the first is the label, in both splits alike: one row with two of them settles it."""
    train, test = np.eye(3, dtype=int)[[0, 1, 2, 0, 1]], np.array([[1, 1, 0], [0, 0, 0]])
    save(tmp_path / "d.npz", train_labels=train, test_labels=test)
    dataset = data.load_dataset(str(tmp_path / "d.npz"))
    assert (dataset.train_labels.tolist(), dataset.test_labels.tolist()) == ([1, 0, 0, 1, 0], [1, 0])
    save(tmp_path / "e.npz", train_labels=train, test_labels=np.eye(4, dtype=int)[:2])
    with pytest.raises(UsageError, match="differ in shape"):
        data.load_dataset(str(tmp_path / "e.npz"))


def test_other_names_are_told_and_can_be_mapped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = ("x_train", "y_train", "x_test", "y_test")
    arrays = save("mnist.npz", names=keys)
    with pytest.raises(UsageError) as error:
        data.load_dataset("mnist.npz")
    for words in (
        "lacks train_images",
        "holds 'x_test', 'x_train', 'y_test', 'y_train'",
        "mnist.npz[KEY, KEY, KEY, KEY]",
    ):
        assert words in str(error.value)
    dataset = data.load_dataset(f"mnist.npz[{', '.join(keys)}]", img_size=8)
    assert dataset.train_labels.tolist() == arrays["train_labels"].tolist()
    monkeypatch.chdir("/")
    assert torch.equal(data.load_dataset(dataset.source, img_size=8).test_images, dataset.test_images)
    with pytest.raises(UsageError, match="must name four arrays"):
        data.load_dataset("mnist.npz[x_train, y_train]")


def test_a_small_file_does_not_fill_the_memory(tmp_path):
    """800,000 images of one pixel, all alike, are 19 kB, and would be 2.5 GB as 32x32 pixels of three colours."""
    many = np.zeros((800_000, 1, 1), np.uint8)
    save(
        tmp_path / "d.npz",
        saver=np.savez_compressed,
        train_images=many,
        train_labels=np.zeros(800_000, np.uint8),
    )
    assert (tmp_path / "d.npz").stat().st_size < 20_000
    with pytest.raises(UsageError, match="would take 2,345 MB of memory"):
        data.load_dataset(str(tmp_path / "d.npz"))


def test_a_damaged_cifar_is_called_damaged(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"not the real file")
    with pytest.raises(UsageError, match=r"cifar-10-batches-py' is damaged or not whole: delete it and connect"):
        data.load_dataset("cifar10", root=tmp_path, download=False)


def test_names_that_exist_are_taken_literally(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("~", "a, b=c", "x.npz[1, 2, 3, 4]", "null"):
        fill(tmp_path / name, "0.png", "1.png")
        assert data.load_dataset(name).source == str(tmp_path / name)


def test_what_is_hidden_has_no_picture(tmp_path):
    fill(tmp_path, ".a.png", ".b/0.png", "__MACOSX/0.png")
    assert pictures.picture_paths(tmp_path) == []
    with pytest.raises(UsageError, match="holds no pictures"):
        data.load_dataset(str(tmp_path))


def test_the_explorer_starts_without_a_cifar_that_is_damaged(tmp_path):
    pytest.importorskip("skimage")
    (tmp_path / "cifar-10-batches-py").mkdir()
    service = Service("et-small-cifar10", "cifar10", str(tmp_path))
    assert service.galleries == ["scikit-image"]
    assert "CIFAR-10 cannot be read: these come with scikit-image." in service.note
    (tmp_path / "d.npz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"is damaged or no \.npz archive"):
        Service("et-small-cifar10", str(tmp_path / "d.npz"))
