"""Models written as C, compiled without a warning, and called."""

import copy
import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import rnnfast as rf
from rnnfast.export import c_source, save_c

CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(CC is None, reason="there is no C compiler here")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def random_parameters(model, seed=1):
    rng = np.random.default_rng(seed)
    for name, value in model.params.items():
        model.params[name] = rng.normal(0.4 * ("norm" in name), 0.4, value.shape)
    for name, value in model.buffers.items():
        block, inner = model.buffer_slots()[name]
        block.set(inner, rng.uniform(0.5, 2.0, value.shape))
    return model


MODELS = {
    "lstm": rf.LSTM(3, 7),
    "gru": rf.GRU(3, 7),
    "stack": rf.Sequential(
        rf.LSTM(3, 7, 2, dropout=0.5), rf.GRU(7, 5, bias="double"), rf.Linear(5, 2, activation="tanh")
    ),
    "norms": rf.Sequential(
        rf.BatchNorm(3), rf.GRU(3, 5, 2, layer_norm=True, residual=True), rf.Dropout(0.3), rf.LayerNorm(5),
        rf.Linear(5, 6, bias=False), rf.SpatialDropout(0.2), rf.BatchNorm(6), rf.Activation("gelu"),
        rf.Activation("softmax"),
    ),
    "before": rf.GRU(3, 5, reset="before", update="new", clip=0.7, recurrent_activation="hard_sigmoid", zoneout=0.2),
    "new": rf.GRU(3, 5, bias=False, update="new", activation=("leaky_relu", 0.2), learned_state=True),
    "options": rf.LSTM(
        3, 7, peephole=True, proj_size=4, layer_norm=True, cell_clip=0.8, zoneout=(0.1, 0.3), learned_state=True,
        bias="double", output_activation="softsign",
    ),
    "coupled": rf.LSTM(
        3, 5, coupled=True, peephole=True, bias=False, activation="elu", clip=1.5, recurrent_dropout=0.5
    ),
    "projected": rf.LSTM(3, 6, proj_size=2, layer_norm=True, coupled=True),
    "simple": rf.Sequential(
        rf.RNN(3, 5, activation="relu", zoneout=0.3), rf.IndRNN(5, 4, activation="identity", clip=1.0), rf.MGU(4, 6),
        rf.Sequential(rf.RNN(6, 3, bias=False), rf.Activation(("swish", 1.5))), rf.Activation("softplus"),
    ),
    "answer": rf.Sequential(
        rf.Embedding(9, 3), rf.LSTM(3, 5), rf.Last(), rf.Linear(5, 4, activation="sigmoid"), rf.Linear(4, 2)
    ),
    "ending": rf.Sequential(rf.GRU(3, 5), rf.Last()),
    "last": rf.Sequential(rf.Last(), rf.Linear(3, 2)),
    "vectors": rf.Sequential(rf.Linear(3, 2)),
    "two": rf.Sequential(
        rf.Embedding(9, 4), rf.LSTM(4, 5, 2, bidirectional=True, residual=True), rf.Last(), rf.Dropout(0.5),
        rf.Linear(10, 3), rf.BatchNorm(3),
    ),
    "summed": rf.GRU(3, 5, 2, bidirectional=True, merge="sum", learned_state=True),
    "averaged": rf.Sequential(rf.RNN(3, 4, bidirectional=True, merge="average"), rf.Linear(4, 2)),
    "ends": rf.Sequential(rf.GRU(3, 5, bidirectional=True), rf.Last(merge="mul")),
    "reverse": rf.Sequential(rf.LSTM(3, 5, reverse=True), rf.Last(), rf.Linear(5, 2), rf.Linear(2, 3)),
}  # fmt: skip
BACKWARDS = {"two", "summed", "averaged", "ends", "reverse"}
MAX_STEPS = 9


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """All of the models, compiled into one library, and each a program that tests itself."""
    folder = tmp_path_factory.mktemp("c")
    for name, model in MODELS.items():
        random_parameters(model)
        save_c(model, folder / f"{name}.c", name=name, max_steps=MAX_STEPS if name in BACKWARDS else None)
    sources = [f"{name}.c" for name in MODELS]
    command = [CC, *STRICT, "-shared", "-fPIC", *sources, "-lm", "-o", "models.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, ctypes.CDLL(str(folder / "models.so"))


class Compiled:
    def __init__(self, library, name):
        self.reset, self.sequence = (getattr(library[1], f"{name}_{verb}") for verb in ("reset", "sequence"))
        self.step = getattr(library[1], f"{name}_step", None)
        self.state = ctypes.create_string_buffer(1 << 16)
        self.reset(self.state)

    def run(self, x, outputs):
        x, y = np.ascontiguousarray(x), np.full(outputs, 7, np.float32)
        code = self.sequence(self.state, pointer(x), len(x), pointer(y))
        return code, y

    def one(self, x, outputs):
        x, y = np.ascontiguousarray(x), np.full(outputs, 7, np.float32)
        assert self.step(self.state, pointer(x), pointer(y)) == 0
        return y


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def data(name, T):
    rng = np.random.default_rng(T)
    if name in ("answer", "two"):
        return rng.integers(0, 9, T).astype(np.int32)
    return rng.normal(size=(T, 3)).astype(np.float32)


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_equals_the_model(library, name):
    for T in (0, 1, 8):
        x, compiled = data(name, T), Compiled(library, name)
        wanted = MODELS[name].run(x[None])[0][0]
        code, y = compiled.run(x, wanted.shape)
        assert code == 0
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)
        if T == 8:
            assert len(np.unique(wanted)) > 1
    assert (compiled.step is None) == (name in BACKWARDS)


@needs_compiler
@pytest.mark.parametrize("name", [name for name in MODELS if name not in BACKWARDS])
def test_steps_and_parts_equal_the_sequence(library, name):
    x, compiled = data(name, 8), Compiled(library, name)
    whole, shape = [], MODELS[name].run(x[None])[0].shape
    for t in range(8):
        y = MODELS[name].run(x[None, : t + 1])[0][0]
        whole.append(y if len(shape) == 2 else y[-1])
    steps = [compiled.one(x[t : t + 1], whole[0].shape) for t in range(8)]
    np.testing.assert_allclose(steps, whole, rtol=1e-6, atol=1e-6)
    compiled.reset(compiled.state)
    compiled.run(x[:3], shape[1:] if len(shape) == 2 else (3, shape[2]))
    _, y = compiled.run(x[3:], shape[1:] if len(shape) == 2 else (5, shape[2]))
    np.testing.assert_allclose(y if len(shape) == 2 else y[-1], whole[-1], rtol=1e-6, atol=1e-6)


@needs_compiler
def test_a_sequence_read_backwards_starts_anew(library):
    x, compiled = data("summed", 5), Compiled(library, "summed")
    _, first = compiled.run(x, (5, 5))
    _, second = compiled.run(x, (5, 5))
    assert np.array_equal(first, second)


@needs_compiler
@pytest.mark.parametrize("name", ["stack", "options", "two"])
def test_the_self_test(library, name):
    folder, program = library[0], library[0] / f"{name}_test"
    define = f"-D{name.upper()}_SELF_TEST"
    source = (folder / f"{name}.c").read_text()
    subprocess.run([CC, *STRICT, define, folder / f"{name}.c", "-lm", "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith(f"state {size(source, ' bytes (RAM)')} bytes\n")
    assert 0 < size(source, " bytes (flash)") <= 4 * sum(value.size for value in MODELS[name].params.values())

    # It must be able to fail: one weight is another, then.
    at = source.index("{ /*", source.index("weight_hh"))
    end = source.index("\n", at)
    (folder / "wrong.c").write_text(source[:end] + " 0.5f +" + source[end:])
    subprocess.run([CC, *STRICT, define, folder / "wrong.c", "-lm", "-o", program], check=True)
    assert subprocess.run([program], capture_output=True, check=False).returncode == 1


@needs_compiler
def test_a_file_is_its_own_header(library):
    folder = library[0]
    (folder / "main.c").write_text(
        "#define LSTM_DECLARATIONS_ONLY\n#include <lstm.c>\n#include <lstm.c>\n"
        "static lstm_state state;\n"
        "int main(void) { float x[LSTM_INPUTS] = {0}, y[LSTM_OUTPUTS]; lstm_reset(&state);"
        " return lstm_step(&state, x, y); }\n"
    )
    command = [CC, *STRICT, "-I.", "main.c", "lstm.c", "-lm", "-o", "main"]
    subprocess.run(command, cwd=folder, check=True)
    assert subprocess.run([folder / "main"], check=False).returncode == 0


@needs_compiler
def test_what_cannot_be_read_is_refused(library):
    compiled = Compiled(library, "answer")
    for wrong in ([1, 9], [-1, 0], [2**31 - 1]):
        code, y = compiled.run(np.array(wrong, np.int32), 2)
        assert code == -1
        assert (y == 7).all()
    compiled = Compiled(library, "summed")
    assert compiled.run(data("summed", MAX_STEPS), (MAX_STEPS, 5))[0] == 0
    assert compiled.run(data("summed", MAX_STEPS + 1), (MAX_STEPS + 1, 5))[0] == -1


def rounded(model):
    """A copy with matrices as int8 has them: the largest number of each row is 127."""
    model = copy.deepcopy(model)
    for name, value in model.params.items():
        if value.ndim == 2:
            scale = np.abs(value).max(axis=1, keepdims=True) / 127
            model.params[name] = np.round(value / scale) * scale
    return model


@needs_compiler
def test_int8(library, tmp_path):
    names = ["norms", "before", "options", "coupled", "simple", "answer"]
    for name in names:
        save_c(MODELS[name], tmp_path / f"{name}.c", name=name, int8=True)
        source = (tmp_path / f"{name}.c").read_text()
        assert "static const int8_t" in source
        assert size(source, " bytes (flash)") < size(c_source(MODELS[name]), " bytes (flash)")
    command = [CC, *STRICT, "-shared", "-fPIC", *(f"{name}.c" for name in names), "-lm", "-o", "models.so"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bytes_library = None, ctypes.CDLL(str(tmp_path / "models.so"))
    for name in names:
        x = data(name, 8)
        wanted, exact = (model.run(x[None])[0][0] for model in (rounded(MODELS[name]), MODELS[name]))
        _, y = Compiled(bytes_library, name).run(x, wanted.shape)
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)
        assert 1e-6 < np.abs(y - exact).max() < 0.05
    program = tmp_path / "test"
    subprocess.run([CC, *STRICT, "-DOPTIONS_SELF_TEST", tmp_path / "options.c", "-lm", "-o", program], check=True)
    assert subprocess.run([program], capture_output=True, check=False).returncode == 0


def size(source, unit):
    """The number of bytes before these words in the first line."""
    return int(source.partition(unit)[0].rpartition(" ")[2])


def test_equal_arrays_are_written_once():
    words = rf.Embedding(5, 3, seed=0)
    source = c_source(rf.Sequential(words, rf.RNN(3, 3, seed=0), rf.Linear(3, 5, tied=words, bias=False)))
    assert source.count("static const float model_0_weight[15]") == 1
    assert "model_2_weight" not in source


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (rf.Sequential(rf.GRU(3, 4), rf.Conv1D(4, 2, 3)), r"layer 1 \(Conv1D\) is not written in C: what is"),
        (rf.Sequential(rf.GRU(3, 4), rf.MeanPool()), r"layer 1 \(MeanPool\)"),
        (rf.Sequential(rf.Sequential(rf.GRU(3, 3, 2, residual="highway"))), r"layer 0.0 \(GRU\): residual='highway'"),
        (rf.GRU(3, 3, 2, bidirectional=True, merge="sum", residual=True), r"merge='sum' with residual"),
        (rf.LSTM(3, 4, bidirectional=True, merge=None), r"merge=None"),
        (rf.Sequential(rf.GRU(3, 4), rf.Last(), rf.Last()), "a second Last"),
        (rf.Sequential(rf.GRU(3, 4, bidirectional=True)), "give max_steps"),
        (rf.Sequential(rf.GRU(3, 4), rf.Last(directions=2)), "Last of two directions"),
        (rf.Sequential(rf.Dropout(0.5)), "nothing to write"),
        (rf.Sequential(rf.Activation("relu")), "number of inputs"),
        (rf.LSTMCell(3, 4), r"\(LSTMCell\)"),
    ],
)
def test_what_is_not_written_is_named(model, message):
    with pytest.raises(ValueError, match=message):
        c_source(model)


def test_wrong_arguments():
    model = rf.GRU(3, 4)
    for name in ("", "a-b", "1a", "a b", "ä", "a;"):
        with pytest.raises(ValueError, match="name must be letters"):
            c_source(model, name=name)
    with pytest.raises(ValueError, match="max_steps must be a whole number"):
        c_source(model, max_steps=0)
    with pytest.raises(TypeError, match="must be a layer or a Sequential, got dict"):
        c_source({})
    model.params["bias_l0"] = np.full(12, np.nan)
    with pytest.raises(ValueError, match="0_l0_bias holds numbers that are not finite"):
        c_source(model)
