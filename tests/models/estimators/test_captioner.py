import numpy as np
import pytest

import rnnfast as rf

CAPTIONS = ["a red cat", "two dogs", "no cat", "red dogs"]


def vectors(rng, count=80):
    kinds = rng.integers(0, 4, count)
    return np.eye(4)[kinds] * 3 + 0.1 * rng.standard_normal((count, 4)), [CAPTIONS[kind] for kind in kinds]


def regions(rng, count=150, ordered=False):
    """Of two to four regions one or two have something in them; where the order counts, the first comes first."""
    x, y = [], []
    for _ in range(count):
        things = rng.permutation(3)[: rng.integers(1, 3)]
        array = 0.05 * rng.standard_normal((rng.integers(2, 5), 3))
        places = rng.permutation(len(array))[: len(things)]
        if ordered:
            places = np.sort(places)
        else:
            things = np.sort(things)
        array[places] += 2 * np.eye(3)[things]
        x.append(array)
        y.append(" and ".join(["cat", "dog", "owl"][thing] for thing in things))
    return x, y


@pytest.mark.parametrize("context", ["state", "first", "every"])
def test_one_vector(context, tmp_path):
    x, y = vectors(np.random.default_rng(0))
    model = rf.Captioner(hidden_size=16, embedding_dim=8, context=context, cell="gru", seed=0)
    model.fit(x, y, epochs=30, batch_size=16)
    more, wanted = vectors(np.random.default_rng(1), 30)
    assert model.score(more, wanted) == 1
    assert model.write(more[:1])[0][0].alignment is None
    assert model.attention == "additive"
    model.save(tmp_path / "m.safetensors")
    assert rf.Captioner.load(tmp_path / "m.safetensors").predict(more) == model.predict(more)


@pytest.mark.parametrize("frames", [False, True])
def test_regions_and_frames(frames, tmp_path):
    x, y = regions(np.random.default_rng(0), ordered=frames)
    model = rf.Captioner(hidden_size=24, embedding_dim=8, frames=frames, seed=0)
    model.fit(x, y, epochs=25, batch_size=16, validation_split=0.1)
    more, wanted = regions(np.random.default_rng(1), 40, ordered=frames)
    assert model.score(more, wanted) > 0.9
    found = model.write(more[:3])
    assert [row[0].alignment.shape[1] for row in found] == [len(each) for each in more[:3]]
    model.save(tmp_path / "m.safetensors")
    assert rf.Captioner.load(tmp_path / "m.safetensors").predict(more) == model.predict(more)


def test_what_does_not_fit_is_refused():
    x, y = vectors(np.random.default_rng(0), 8)
    model = rf.Captioner(hidden_size=4, embedding_dim=4, seed=0).fit(x, y, epochs=1)
    with pytest.raises(ValueError, match=r"x must hold \(4,\), as what was fitted, got \(3,\)"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"x\[1\] must hold finite numbers"):
        model.predict([[1.0] * 4, [np.nan] * 4])
    with pytest.raises(ValueError, match="of one F"):
        model.predict([[1.0] * 4, [1.0] * 3])
    with pytest.raises(TypeError, match="x must be an array"):
        model.predict("a cat")
    with pytest.raises(ValueError, match="frames=True reads several vectors"):
        rf.Captioner(frames=True).fit(x, y)
    with pytest.raises(ValueError, match="context must be one of 'state'"):
        rf.Captioner(context="last").fit(x, y)
