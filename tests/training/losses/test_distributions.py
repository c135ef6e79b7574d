import math

import numpy as np
import pytest
from loss_checks import Case, check_loss, check_torch, normal

from rnnfast.training import GaussianNLL, MixtureNLL, StudentNLL


def softplus(raw):
    return math.log1p(math.exp(raw))


def log_normal(t, mean, scale):
    return -0.5 * ((t - mean) / scale) ** 2 - math.log(scale * math.sqrt(2 * math.pi))


def gaussian(p, t):
    return -log_normal(t, p[0], softplus(p[1]) + 1e-6)


def student(p, t):
    scale, v = softplus(p[1]) + 1e-6, softplus(p[2]) + 2
    top, bottom = math.gamma((v + 1) / 2), math.gamma(v / 2) * math.sqrt(math.pi * v) * scale
    return -math.log(top / bottom) + (v + 1) / 2 * math.log(1 + ((t - p[0]) / scale) ** 2 / v)


def mixture(p, t):
    logits, means, raw = p[:3], p[3:6], p[6:]
    shares = np.exp(logits) / np.exp(logits).sum()
    scales = [softplus(each) + 1e-2 for each in raw]
    return -math.log(sum(q * math.exp(log_normal(t, m, s)) for q, m, s in zip(shares, means, scales, strict=True)))


def torch_mixture(f, p, t):
    logits, means, raw = p.split(3, dim=-1)
    parts = f.distributions.Normal(means, f.nn.functional.softplus(raw) + 1e-2)
    return -f.distributions.MixtureSameFamily(f.distributions.Categorical(logits=logits), parts).log_prob(t)


Y = 2 * normal(3, 4, seed=1)
CASES = {
    "gaussian": Case(
        GaussianNLL(),
        2 * normal(3, 4, 2),
        Y,
        gaussian,
        lambda f, p, t: -f.distributions.Normal(p[..., 0], f.nn.functional.softplus(p[..., 1]) + 1e-6).log_prob(t),
    ),
    "student": Case(
        StudentNLL(),
        2 * normal(3, 4, 3),
        Y,
        student,
        lambda f, p, t: (
            -f.distributions.StudentT(
                f.nn.functional.softplus(p[..., 2]) + 2, p[..., 0], f.nn.functional.softplus(p[..., 1]) + 1e-6
            ).log_prob(t)
        ),
    ),
    "mixture": Case(MixtureNLL(min_scale=1e-2), 2 * normal(3, 4, 9), Y, mixture, torch_mixture),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_are_their_formulas(name):
    check_loss(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_parity_with_torch(name):
    check_torch(CASES[name], pytest.importorskip("torch"))


@pytest.mark.parametrize("v", [1e-3, 0.3, 1.0, 2.0, 7.5, 100.0, 1e7])
def test_the_student_s_degrees_of_freedom(v):
    raw = v if v > 30 else math.log(math.expm1(v))
    predictions = np.array([[0.0, math.log(math.e - 1), raw]])
    loss = StudentNLL(min_scale=0.0, min_degrees=0.0)
    total, _, gradient = loss(predictions, [1.5])
    z = 1.5**2
    if v == 1:  # Cauchy
        wanted = math.log(math.pi) + math.log(1 + z)
    elif v == 2:
        wanted = 1.5 * math.log(2 + z)
    elif v == 1e7:  # nearly a Gaussian, and 1/v next to it
        wanted = 0.5 * math.log(2 * math.pi) + z / 2 + (1 + 2 * z - z * z) / (4 * v)
    else:
        wanted = math.lgamma(v / 2) - math.lgamma((v + 1) / 2) + 0.5 * math.log(math.pi * v)
        wanted += (v + 1) / 2 * math.log1p(z / v)
    assert total == pytest.approx(wanted, abs=1e-12)
    step = np.array([0, 0, 1e-4 * max(1, v)])
    slope = (loss(predictions + step, [1.5])[0] - loss(predictions - step, [1.5])[0]) / (2 * step[2])
    assert gradient[0, 2] == pytest.approx(slope, rel=1e-5, abs=1e-12)


def test_parity_with_torch_at_many_degrees_of_freedom():
    torch = pytest.importorskip("torch")
    predictions = np.concatenate([normal(200, 2), np.linspace(-30, 300, 200)[:, None]], axis=1)
    targets = 3 * normal(200)
    theirs = torch.from_numpy(predictions.copy()).requires_grad_()
    plus = torch.nn.functional.softplus(theirs)
    # torch's softplus is x itself from 20 on.
    degrees = torch.where(theirs[:, 2] > 20, theirs[:, 2] + torch.log1p(torch.exp(-theirs[:, 2])), plus[:, 2])
    wanted = -torch.distributions.StudentT(degrees + 0.5, theirs[:, 0], plus[:, 1] + 0.1).log_prob(
        torch.from_numpy(targets)
    )
    wanted.sum().backward()
    total, _, gradient = StudentNLL(0.1, 0.5)(predictions, targets)
    assert total == pytest.approx(wanted.sum().item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [GaussianNLL(), StudentNLL(), MixtureNLL()])
def test_extreme_parameters(loss, dtype):
    size = 2 if isinstance(loss, GaussianNLL) else 3
    for mean in (0, 1e10):
        for raw in (-1e4, 1e4):
            predictions = np.zeros((2, size), dtype)
            predictions[0, -2:] = mean, raw
            predictions[1] = raw
            total, count, gradient = loss(predictions, np.ones(2))
            assert math.isfinite(total)
            assert count == 2
            assert np.isfinite(gradient).all()


def test_a_far_component_takes_no_part():
    predictions = np.array([[0.0, -2000.0, 1.0, 5.0, 0.3, 0.3]])
    total, _, gradient = MixtureNLL()(predictions, [-1e6])
    wanted, _, alone = GaussianNLL()(predictions[:, [2, 4]], [-1e6])
    assert total == pytest.approx(wanted, rel=1e-14)
    assert gradient[0, [2, 4]] == pytest.approx(alone[0], rel=1e-12)
    assert not gradient[0, [1, 3, 5]].any()


def test_parameters_are_those_of_the_density():
    predictions = 2 * normal(4, 9)
    plus = np.log1p(np.exp(predictions))
    mean, scale = GaussianNLL(0.5).parameters(predictions[:, :2])
    assert np.array_equal(mean, predictions[:, 0])
    np.testing.assert_allclose(scale, plus[:, 1] + 0.5, rtol=1e-14)
    mean, scale, degrees = StudentNLL(0.5, 3.0).parameters(predictions[:, :3])
    assert np.array_equal(mean, predictions[:, 0])
    np.testing.assert_allclose(np.stack([scale, degrees]), [plus[:, 1] + 0.5, plus[:, 2] + 3], rtol=1e-14)
    shares, means, scales = MixtureNLL(0.5).parameters(predictions)
    powers = np.exp(predictions[:, :3])
    np.testing.assert_allclose(shares, powers / powers.sum(axis=1, keepdims=True), rtol=1e-13)
    assert np.array_equal(means, predictions[:, 3:6])
    np.testing.assert_allclose(scales, plus[:, 6:] + 0.5, rtol=1e-14)


def test_a_last_axis_of_one_is_fine():
    predictions, targets = normal(5, 2), normal(5)
    wanted, found = GaussianNLL()(predictions, targets), GaussianNLL()(predictions, targets[:, None])
    assert found[:2] == wanted[:2]
    assert np.array_equal(found[2], wanted[2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: GaussianNLL()(normal(3, 4), Y[:, 0]), ValueError, r"shape \(\.\.\., 2\), a mean and a raw scale, got"),
        (lambda: StudentNLL()(normal(3, 2), Y[:, 0]), ValueError, r"shape \(\.\.\., 3\), a mean, a raw scale and raw"),
        (lambda: MixtureNLL()(normal(3, 4), Y[:, 0]), ValueError, r"shape \(\.\.\., 3 K\), K logits.*got \(3, 4\)"),
        (lambda: MixtureNLL()(normal(3, 0), Y[:, 0]), ValueError, r"got \(3, 0\)"),
        (lambda: GaussianNLL()(np.array(1.0), 1.0), ValueError, r"got \(\)"),
        (
            lambda: GaussianNLL()(normal(3, 2), normal(3, 2)),
            ValueError,
            r"targets must have shape \(3,\) for .*\(3, 2\)",
        ),
        (lambda: GaussianNLL()(normal(3, 2), ["a"] * 3), TypeError, "gaussian_nll: targets must hold real numbers"),
        (lambda: GaussianNLL(-1.0), ValueError, "min_scale must be at least 0"),
        (lambda: StudentNLL(min_degrees=math.inf), ValueError, "min_degrees must be at least 0 and finite"),
        (lambda: GaussianNLL().parameters(normal(3, 3)), ValueError, r"\(\.\.\., 2\)"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()
