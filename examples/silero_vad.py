"""Tell speech from silence with silero-vad's network, taken out of its ONNX file and run as layers of ours.

    pip install 'rnnfast[onnx]' && pip install --no-deps silero-vad
    python examples/silero_vad.py [sound.wav] [--model silero_vad.onnx] [--rate 16000]

The network hears chunks of 32 ms: a Fourier transform and four convolutions make 128 numbers of each, an LSTM carries
on what was heard before, and a linear layer gives the probability of speech. Only the LSTM has a memory, so a whole
recording goes through the convolutions as one batch and through the LSTM as one sequence; a live one goes chunk by
chunk. Without a sound file a made voice is heard.

The package holds one more set of weights, silero_vad_16k.safetensors: that is an older network.
"""

import argparse
import importlib.util
import time
import wave
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np

import rnnfast as rf
from rnnfast.interop.onnx import layers_of, prepare

FILE = "silero_vad/data/silero_vad.onnx"


def read(model=None):
    """The bytes of the ONNX file: of the installed package, or of a file, a folder or a wheel."""
    if model is None:
        try:
            model = metadata.distribution("silero-vad").locate_file("")
        except metadata.PackageNotFoundError:
            raise SystemExit("this example reads silero-vad's model: pip install --no-deps silero-vad") from None
    model = Path(model)
    if model.suffix == ".whl":
        with zipfile.ZipFile(model) as wheel:
            return wheel.read(FILE)
    return (model / FILE if model.is_dir() else model).read_bytes()


class SileroVAD:
    """The network for one rate of sampling, 16000 or 8000.

    Attributes
    ----------
    size, context : int
        Samples of a chunk, and how many of those before it are heard again.
    """

    def __init__(self, model, rate=16000):
        branch = {16000: "then_branch", 8000: "else_branch"}[rate]
        weights = dict(constants(model, branch))
        basis = weights["stft.forward_basis_buffer"]
        self.rate, self.size, self.half = rate, rate * 32 // 1000, len(basis) // 2
        self.context = self.edge = basis.shape[2] // 4
        # Of a chunk come four windows, of which the second convolution makes two and the third one. Taps that see
        # nothing but padding are left out.
        self.products = [product(basis, None, slice(None))]
        for i, taps in enumerate((slice(None), slice(None), slice(1, 3), slice(1, 2))):
            names = (f"encoder.{i}.reparam_conv.{name}" for name in ("weight", "bias"))
            self.products.append(product(*map(weights.get, names), taps))
        lstm = next(layer for name, layer in layers_of(model).items() if branch in name)
        self.decoder = rf.Sequential(lstm, rf.Activation("relu"), rf.Linear(128, 1, activation="sigmoid"))
        self.decoder.params["2.weight"] = weights["decoder.decoder.2.weight"][:, :, 0]
        self.decoder.params["2.bias"] = weights["decoder.decoder.2.bias"]

    def features(self, chunks):
        """128 numbers for each chunk: (N, context + size) to (N, 128)."""
        spectrum, first, second, third, fourth = self.products
        N, half, edge = len(chunks), self.half, self.edge
        mirrored = np.concatenate([chunks, chunks[:, -2 : -2 - edge : -1]], axis=1)
        waves = spectrum(windows(mirrored, 4, 2 * edge, 4 * edge))
        waves *= waves
        padded = np.zeros((N, 6, half), np.float32)
        np.sqrt(waves[..., :half] + waves[..., half:], out=padded[:, 1:5])
        frames = first(windows(padded.reshape(N, -1), 4, half, 3 * half))
        padded = np.zeros((N, 5, 128), np.float32)
        padded[:, 1:] = frames
        frames = second(windows(padded.reshape(N, -1), 2, 2 * 128, 3 * 128))
        return fourth(third(frames.reshape(N, -1)))

    def __call__(self, sound):
        """The probability of speech in each chunk of a recording (samples,) from -1 to 1."""
        count = -(-len(sound) // self.size)
        padded = np.zeros(self.context + count * self.size, np.float32)
        padded[self.context : self.context + len(sound)] = sound
        views = np.lib.stride_tricks.sliding_window_view(padded, self.context + self.size)[:: self.size]
        return self.decoder(self.features(views)[None])[0, :, 0]

    def stream(self):
        """A function that hears one chunk (size,) after the other, and gives the probability of speech in it."""
        heard, step = np.zeros((1, self.context + self.size), np.float32), self.decoder.stream()

        def hear(chunk):
            heard[:, : self.context] = heard[:, -self.context :]
            heard[:, self.context :] = chunk
            return float(step(self.features(heard))[0, 0])

        return hear


def product(weight, bias, taps):
    """A convolution (O, C, K) as the product that is made of each window; after those with a bias comes a ReLU."""
    matrix = weight[:, :, taps].transpose(0, 2, 1).reshape(len(weight), -1)
    activation = None if bias is None else "relu"
    layer = rf.Linear(matrix.shape[1], matrix.shape[0], bias=bias is not None, activation=activation)
    layer.params["weight"] = matrix
    if bias is not None:
        layer.params["bias"] = bias
    return layer


def windows(rows, count, step, size):
    """So many windows of each row, so far apart, (N, count, size): a view."""
    row, number = rows.strides
    return np.ndarray((len(rows), count, size), rows.dtype, rows, strides=(row, step * number, number))


def constants(model, branch):
    """The weights in a branch of the model, by the ends of their names."""
    import onnx

    proto = onnx.load_model_from_string(model)
    fork = next(node for node in proto.graph.node if node.op_type == "If")
    graph = next(each.g for each in fork.attribute if each.name == branch)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            yield node.output[0].partition("__Inline_0__")[2], onnx.numpy_helper.to_array(node.attribute[0].t)


def by_chunk(run, sound, rate):
    """What the ONNX model says of each chunk; `run` is given its inputs by name."""
    size, context = rate * 32 // 1000, rate // 250
    padded = np.concatenate([np.zeros(context), sound, np.zeros(-len(sound) % size)]).astype(np.float32)
    state, found = np.zeros((2, 1, 128), np.float32), []
    for start in range(0, len(padded) - context, size):
        chunk = padded[None, start : start + context + size]
        probability, state = run({"input": chunk, "state": state, "sr": np.array(rate, np.int64)})
        found.append(float(probability[0, 0]))
    return np.array(found)


def theirs(model):
    """ONNX Runtime with one thread, as the package runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)


def made_voice(seconds, rate, seed=0):
    """Something like speech: syllables of harmonics under moving formants, pauses between them, and soft noise."""
    rng, t = np.random.default_rng(seed), np.arange(int(seconds * rate)) / rate
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * t) + 10 * np.sin(2 * np.pi * 2.3 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    sound = np.zeros_like(t)
    for n in range(1, int(0.4 * rate / 155)):
        tall = sum(
            height * np.exp(-(((n * pitch - center * (1 + 0.25 * np.sin(2 * np.pi * speed * t))) / width) ** 2))
            for height, center, width, speed in ((1, 600, 150, 1.7), (0.6, 1400, 250, 2.9), (0.3, 2600, 400, 1.3))
        )
        sound += tall * np.sin(n * phase)
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t), 0, 1) ** 0.5
    talking = np.sin(2 * np.pi * 0.25 * t) > -0.2
    return (0.3 * sound * syllables * talking + 0.002 * rng.normal(size=t.size)).astype(np.float32)


def read_wave(path, rate):
    """The first channel of a 16-bit WAV file, from -1 to 1, at `rate` where it divides the file's."""
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2 or file.getframerate() % rate:
            raise SystemExit(f"{path} must be a 16-bit WAV file with a multiple of {rate} samples a second")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")[:: file.getnchannels()]
        return samples[:: file.getframerate() // rate].astype(np.float32) / 32768


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", nargs="?", help="a 16-bit WAV file")
    parser.add_argument("--model", help="silero_vad.onnx, or silero-vad's wheel")
    parser.add_argument("--rate", type=int, choices=(16000, 8000), default=16000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rf.set_num_threads(1)
    model = read(given.model)
    sound = made_voice(20, given.rate) if given.sound is None else read_wave(given.sound, given.rate)
    network = SileroVAD(model, given.rate)
    chunks = np.zeros(-(-len(sound) // network.size) * network.size, np.float32)
    chunks[: len(sound)] = sound
    chunks = chunks.reshape(-1, network.size)

    hear, graph = network.stream(), prepare(model)
    runs = {
        "rnnfast, the whole recording": lambda: network(sound),
        "rnnfast, chunk by chunk": lambda: np.array([*map(hear, chunks)]),
        "the ONNX graph, run by prepare": lambda: by_chunk(graph.run, sound[: 50 * network.size], given.rate),
    }
    if importlib.util.find_spec("onnxruntime"):
        session = theirs(model)
        runs["ONNX Runtime"] = lambda: by_chunk(session, sound, given.rate)
    found = {name: run() for name, run in runs.items()}
    times = {name: [] for name in runs}
    for _ in range(given.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) / len(found[name]))
    for name, each in times.items():
        print(f"{name:32} {1e6 * np.median(each):8.1f} µs a chunk of 32 ms, median of {given.rounds} rounds")
    first, *others = found.values()
    print(f"largest difference              {max(np.abs(each - first[: len(each)]).max() for each in others):8.1e}")
    for start in range(0, len(first), 31):
        part = first[start : start + 31]
        print(f"{start * 0.032:5.1f} s  {'#' * round(40 * part.mean()):40}  {part.mean():.2f}")


if __name__ == "__main__":
    main()
