"""Features and what simple classifiers make of them, against NumPy and SciPy written out."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

import etviz
from etviz import UsageError
from etviz.evaluation.features import PENALTY, extract_features, knn_accuracy, linear_accuracy, standardise
from tests.conftest import TINY


@pytest.fixture(scope="module")
def sets():
    """Three overlapping clouds, and their labels."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(180) % 3
    centres = 1.2 * torch.randn(3, 5, generator=generator)
    features = centres[labels] + torch.randn(180, 5, generator=generator) + 7
    return features[:120], labels[:120], features[120:], labels[120:]


def test_features_are_the_models_own_whatever_the_batch(tiny_model):
    images = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tiny_model.train()
    found = extract_features(tiny_model, images, batch_size=3)
    assert tiny_model.training
    torch.testing.assert_close(found, tiny_model.eval().features(images.float() / 255).detach(), rtol=1e-4, atol=1e-5)
    cls_token = extract_features(tiny_model, images, pool="cls")
    assert not torch.allclose(found, cls_token)
    with pytest.raises(UsageError, match="no images"):
        extract_features(tiny_model, images[:0])


def test_neighbours_vote_by_cosine(sets):
    train, train_labels, test, test_labels = sets
    a, b = standardise(train, test)
    cosine = (b @ a.T) / np.linalg.norm(b, axis=1)[:, None] / np.linalg.norm(a, axis=1)
    nearest = np.argsort(-cosine, axis=1)[:, :9]
    votes = np.array([np.bincount(train_labels.numpy()[row], minlength=3).argmax() for row in nearest])
    expected = (votes == test_labels.numpy()).mean()
    assert 0.5 < expected < 1
    assert knn_accuracy(*sets, neighbours=9) == pytest.approx(expected)
    assert knn_accuracy(train[:4], train_labels[:4], test, test_labels) <= 1  # fewer than the neighbours asked for


def test_the_probe_is_penalised_logistic_regression(sets):
    train, train_labels, test, test_labels = sets
    a, b = standardise(train, test)
    onehot = np.eye(3)[train_labels.numpy()]

    def loss(flat):
        weights, bias = flat[:15].reshape(5, 3), flat[15:]
        logits = a @ weights + bias
        cross_entropy = (logsumexp(logits, axis=1) - (logits * onehot).sum(1)).mean()
        return cross_entropy + PENALTY / 2 * (weights**2).sum()

    best = minimize(loss, np.zeros(18), tol=1e-10).x
    predicted = (b @ best[:15].reshape(5, 3) + best[15:]).argmax(1)
    assert linear_accuracy(*sets) == pytest.approx((predicted == test_labels.numpy()).mean())


def test_the_probe_agrees_with_float64_on_real_features(cifar10):
    from sklearn.linear_model import LogisticRegression

    model = etviz.load_model("mae-cifar10")
    parts = cifar10.train_images[:2000], cifar10.test_images[:1000]
    train, test = (extract_features(model, images) for images in parts)
    labels, held = cifar10.train_labels[:2000], cifar10.test_labels[:1000]
    exact = LogisticRegression(C=1 / (PENALTY * 2000), max_iter=5000, tol=1e-7)
    a, b = standardise(train, test)
    expected = exact.fit(a, labels.numpy()).score(b, held.numpy())
    assert linear_accuracy(train, labels, test, held) == pytest.approx(expected, abs=0.003)


def test_neighbours_are_those_of_scikit_learn_whatever_is_looked_at_at_once(cifar10, monkeypatch):
    from sklearn.neighbors import KNeighborsClassifier

    train, test = (
        images.flatten(1).float() / 255 for images in (cifar10.train_images[:600], cifar10.test_images[:250])
    )
    labels, held = cifar10.train_labels[:600], cifar10.test_labels[:250]
    a, b = standardise(train, test)
    expected = KNeighborsClassifier(7, metric="cosine").fit(a, labels.numpy()).score(b, held.numpy())
    for at_once in (1000, 100):
        monkeypatch.setattr("etviz.evaluation.features.VOTERS", at_once)
        assert knn_accuracy(train, labels, test, held, neighbours=7) == pytest.approx(expected)


def test_of_labels_with_as_many_votes_the_smallest_wins():
    train = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, -0.1]])
    test = train[:1]
    for labels, first in ((torch.tensor([2, 1, 0, 0]), 1), (torch.tensor([1, 2, 0, 0]), 1)):
        assert knn_accuracy(train, labels, test, torch.tensor([first]), neighbours=2) == 1


def test_features_on_any_scale_read_alike(sets):
    train, train_labels, test, test_labels = sets
    scale = torch.tensor([1e-3, 1.0, 50.0, 1.0, 1e4])
    constant = torch.full((1, 1), 3.0)
    wide = [torch.cat([part * scale, constant.expand(len(part), 1)], dim=1) for part in (train, test)]
    assert linear_accuracy(wide[0], train_labels, wide[1], test_labels) == linear_accuracy(*sets)
    assert knn_accuracy(wide[0], train_labels, wide[1], test_labels) == knn_accuracy(*sets)


def test_what_does_not_fit_is_refused(sets):
    train, train_labels, test, test_labels = sets
    with pytest.raises(UsageError, match="n labels"):
        knn_accuracy(train, train_labels[:-1], test, test_labels)
    with pytest.raises(UsageError, match="hold 4 numbers"):
        linear_accuracy(train[:, :4], train_labels, test, test_labels)
    with pytest.raises(UsageError, match="at least two"):
        linear_accuracy(train, torch.zeros_like(train_labels), test, test_labels)
    with pytest.raises(UsageError, match="At least 1 neighbour"):
        knn_accuracy(*sets, neighbours=0)


def test_trained_features_know_more_than_raw_pixels_by_neighbours(cifar10):
    model = etviz.load_model("mae-cifar10")
    images, labels = cifar10.train_images[:1500], cifar10.train_labels[:1500]
    held, held_labels = cifar10.test_images[:500], cifar10.test_labels[:500]
    trained = knn_accuracy(extract_features(model, images), labels, extract_features(model, held), held_labels)
    torch.manual_seed(0)
    fresh = etviz.create_model("et", **TINY)
    random = knn_accuracy(extract_features(fresh, images), labels, extract_features(fresh, held), held_labels)
    assert trained > random > 0.1
