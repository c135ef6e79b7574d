import numpy as np
import pytest

import rnnfast as rf
from rnnfast.decoding import average_checkpoints


def test_weights_are_the_mean(tmp_path):
    models = [rf.Sequential(rf.GRU(3, 5, seed=seed), rf.Linear(5, 2, seed=seed)) for seed in range(3)]
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for model, path in zip(models, paths, strict=True):
        for name, value in model.params.items():
            model.params[name] = value + np.random.default_rng(len(name)).standard_normal(value.shape)
        model.save(path)
    found = average_checkpoints(paths)
    for name, value in found.params.items():
        wanted = np.mean([model.params[name] for model in models], axis=0, dtype=np.float64)
        assert np.abs(wanted).max() > 0
        assert np.allclose(value, wanted, rtol=0, atol=1e-7), name
    x = np.ones((1, 4, 3), np.float32)
    assert np.isfinite(found(x)).all()
    assert not np.allclose(found(x), models[0](x))


def test_what_is_no_set_of_checkpoints_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        average_checkpoints([])
    for size in (3, 4):
        rf.Sequential(rf.GRU(3, size)).save(tmp_path / f"{size}.safetensors")
    with pytest.raises(ValueError, match=r"4.safetensors: its parameters are not"):
        average_checkpoints([tmp_path / "3.safetensors", tmp_path / "4.safetensors"])
