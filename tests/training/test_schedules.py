import json
import math
import warnings

import numpy as np
import pytest

from rnnfast.training.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    Linear,
    MultiStep,
    Noam,
    OneCycle,
    Polynomial,
    Step,
    WarmUp,
    find_schedule,
)

RATE = 0.3
# Ours, torch's, and how many steps both have; torch's has the optimizer's rate RATE.
TORCH = {
    "constant": (Constant(RATE), lambda s, o: s.ConstantLR(o, 1.0), 20),
    "step": (Step(RATE, every=7, factor=0.4), lambda s, o: s.StepLR(o, 7, 0.4), 40),
    "multi-step": (MultiStep(RATE, (3, 10, 11), 0.2), lambda s, o: s.MultiStepLR(o, [3, 10, 11], 0.2), 20),
    "exponential": (Exponential(RATE, 0.9), lambda s, o: s.ExponentialLR(o, 0.9), 30),
    "linear": (Linear(RATE / 4, RATE / 2, steps=9), lambda s, o: s.LinearLR(o, 0.25, 0.5, 9), 20),
    "polynomial": (Polynomial(RATE, 11, 2.5), lambda s, o: s.PolynomialLR(o, 11, 2.5), 20),
    "cosine": (Cosine(RATE, 13, 0.02), lambda s, o: s.CosineAnnealingLR(o, 13, 0.02), 13),
    "restarts": (CosineRestarts(RATE, 5, floor=0.1), lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 1, 0.1), 32),
    "longer restarts": (CosineRestarts(RATE, 3, 2), lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2), 50),
    "one cycle": (OneCycle(RATE, 23), lambda s, o: s.OneCycleLR(o, RATE, 23), 22),
    "straight cycle": (
        OneCycle(RATE, 50, 0.2, 10, 100, "linear"),
        lambda s, o: s.OneCycleLR(
            o, RATE, 50, pct_start=0.2, div_factor=10, final_div_factor=100, anneal_strategy="linear"
        ),
        49,
    ),
    "three phases": (
        OneCycle(RATE, 31, three_phase=True),
        lambda s, o: s.OneCycleLR(o, RATE, 31, three_phase=True),
        30,
    ),
    "warm-up": (
        WarmUp(Cosine(RATE, 9, 0.05), steps=4, start=0.1),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 4), s.CosineAnnealingLR(o, 9, 0.05)], [4]),
        13,
    ),
}
OTHERS = [Noam(64, 10), InverseSqrt(RATE, 10), WarmUp(0.1, 3), WarmUp(WarmUp(Step(0.1, 2), 2), 2)]


@pytest.mark.parametrize("case", TORCH)
def test_every_step_equals_torch(case):
    torch = pytest.importorskip("torch")
    ours, make, count = TORCH[case]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], RATE)
    with warnings.catch_warnings():
        # SequentialLR calls what it deprecates.
        warnings.simplefilter("ignore")
        theirs = make(torch.optim.lr_scheduler, optimizer)
        for step in range(count + 1):
            assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=1e-17), step
            if step < count:
                optimizer.step()
                theirs.step()


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        (Linear(0.1, 0.4, 5), 0.4),
        (Polynomial(RATE, 5, 2.0, 0.1), 0.1),
        (Cosine(RATE, 5, 0.1), 0.1),
        (OneCycle(RATE, 10, end_divisor=2), RATE / 50),
        (WarmUp(Cosine(RATE, 5, 0.1), 3), 0.1),
    ],
)
def test_what_ends_stays(schedule, last):
    assert [schedule(steps) for steps in (9, 10, 11, 1000)] == [pytest.approx(last, rel=1e-14)] * 4
    assert schedule(2) != last


def test_noam_is_the_papers():
    rates = [Noam(512, 4000, 2.0)(step - 1) for step in (1, 4000, 16000)]
    assert rates == pytest.approx(
        [2 * 512**-0.5 * 4000**-1.5, 2 * (512 * 4000) ** -0.5, (512 * 4000) ** -0.5], rel=1e-14
    )


def test_the_inverse_root():
    schedule = WarmUp(InverseSqrt(RATE, scale=100), steps=100)
    assert schedule(50) == pytest.approx(RATE / 2, rel=1e-14)
    for steps in (100, 101, 400, 12345):
        assert schedule(steps) == pytest.approx(RATE * math.sqrt(100 / steps), rel=1e-14)


def test_exponential_over_many_steps():
    assert Exponential(RATE, 0.5, every=10)(5) == pytest.approx(RATE * 0.5**0.5, rel=1e-14)
    assert Exponential(RATE, 0.5, every=10)(30) == pytest.approx(RATE / 8, rel=1e-14)


@pytest.mark.parametrize("schedule", [case[0] for case in TORCH.values()] + OTHERS, ids=repr)
def test_schedules_come_back_from_json_and_repr(schedule):
    config = json.loads(json.dumps(schedule.config()))
    assert find_schedule(config) == schedule
    assert eval(repr(schedule)) == schedule
    assert [find_schedule(config)(steps) for steps in range(20)] == [schedule(steps) for steps in range(20)]


def test_numbers_of_numpy_go_into_json():
    schedule = Cosine(np.float32(0.5), np.int64(10))
    assert json.loads(json.dumps(schedule.config()))["steps"] == 10
    assert schedule(5) == 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-1.0), "learning_rate must be at least 0 and finite, got -1.0"),
        (lambda: Cosine(float("inf"), 3), "learning_rate"),
        (lambda: Cosine(0.1, 0), "steps must be larger than 0"),
        (lambda: Step(0.1, 0), "every must be larger than 0"),
        (lambda: CosineRestarts(0.1, 0), "period must be larger than 0"),
        (lambda: CosineRestarts(0.1, 5, 0.5), "factor must be at least 1"),
        (lambda: MultiStep(0.1, (5, 3)), "milestones must ascend"),
        (lambda: OneCycle(0.1, 10, rise=0.0), "rise must be between 0 and 1"),
        (lambda: OneCycle(0.1, 10, rise=1.0), "rise must be between 0 and 1"),
        (lambda: OneCycle(0.1, 10, rise=0.6, three_phase=True), "rise must be between 0 and 0.5"),
        (lambda: OneCycle(0.1, 10, start_divisor=0), "start_divisor must be larger than 0"),
        (lambda: OneCycle(0.1, 10, shape="round"), "shape must be 'cosine' or 'linear', got 'round'"),
        (lambda: Noam(0, 10), "model_size must be larger than 0"),
        (lambda: Noam(10, 0), "warmup must be at least 1"),
        (lambda: InverseSqrt(0.1, 0), "scale must be larger than 0"),
        (lambda: WarmUp(-0.1, 3), "inner must be at least 0"),
        (lambda: find_schedule({"schedule": "Zigzag"}), "must be one of Constant, Step, .* got 'Zigzag'"),
        (lambda: find_schedule({}), "got None"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
