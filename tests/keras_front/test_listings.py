"""Lecture notes' Keras code, of which nothing but the import lines is changed, and the sizes of what it trains on."""

import numpy as np
import pytest

LAYERS = """
from rnnfast.keras.layers import LSTM, Dense, Input
from rnnfast.keras import Sequential
"""

SIMPLE = """
modelo = Sequential([
    Input(shape=(100, 50)),  # Secuencia de 100 pasos, 50 features cada uno
    LSTM(128),               # 128 unidades LSTM
    Dense(1, activation='sigmoid')
])
"""
STACKED = """
modelo = Sequential([
    Input(shape=(100, 50)),
    LSTM(128, return_sequences=True),  # return_sequences=True para apilar
    LSTM(64, return_sequences=True),
    LSTM(32),                          # Última capa: return_sequences=False
    Dense(1)
])
"""
GATED = """
from rnnfast.keras.layers import GRU

modelo = Sequential([
    Input(shape=(100, 50)),
    GRU(128),
    Dense(1)
])
"""
BOTH_WAYS = """
from rnnfast.keras.layers import Bidirectional

modelo = Sequential([
    Input(shape=(100, 50)),
    Bidirectional(LSTM(64)),  # Salida: 128 (64 forward + 64 backward)
    Dense(1)
])
"""
MANY_TO_ONE = """
modelo = Sequential([
    Input(shape=(100, 50)),
    LSTM(64),
    Dense(2, activation='softmax')  # Positivo/Negativo
])
"""
MANY_TO_MANY = """
modelo = Sequential([
    Input(shape=(100, 50)),
    LSTM(64, return_sequences=True),
    Dense(10, activation='softmax')  # Una etiqueta por paso
])
"""
DROPOUT = """
from rnnfast.keras.layers import Dropout

modelo = Sequential([
    Input(shape=(100, 50)),
    LSTM(64, dropout=0.2, recurrent_dropout=0.2),  # Dropout en LSTM
    Dropout(0.5),  # Dropout después de LSTM
    Dense(1)
])
"""
NORM = """
from rnnfast.keras.layers import BatchNormalization

modelo = Sequential([
    Input(shape=(100, 50)),
    LSTM(64, return_sequences=True),
    BatchNormalization(),
    LSTM(32),
    Dense(1)
])
"""
CLIPPED = """
import rnnfast as tf

optimizer = tf.keras.optimizers.Adam(learning_rate=0.001, clipnorm=1.0)
modelo.compile(optimizer=optimizer, loss='mse')
"""
SERIES = """
import numpy as np
import rnnfast as tf
from rnnfast.keras import Sequential
from rnnfast.keras.layers import LSTM, Dense, Input
from rnnfast.data import MinMaxScaler

# Generar datos sintéticos (serie temporal sinusoidal con ruido)
np.random.seed(42)
t = np.linspace(0, 100, 1000)
serie = np.sin(t) + 0.1 * np.random.randn(1000)

# Normalizar
scaler = MinMaxScaler()
serie_normalizada = scaler.fit_transform(serie.reshape(-1, 1))

# Crear secuencias para entrenamiento
def crear_secuencias(data, window_size):
    X, y = [], []
    for i in range(len(data) - window_size):
        X.append(data[i:i+window_size])
        y.append(data[i+window_size])
    return np.array(X), np.array(y)

window_size = 50
X, y = crear_secuencias(serie_normalizada, window_size)

# División train/test
split = int(len(X) * 0.8)
X_train, X_test = X[:split], X[split:]
y_train, y_test = y[:split], y[split:]

print(f"X_train shape: {X_train.shape}")  # (N, 50, 1)
print(f"y_train shape: {y_train.shape}")  # (N, 1)

# Crear modelo LSTM
modelo = Sequential([
    Input(shape=(window_size, 1)),
    LSTM(50, return_sequences=True),
    LSTM(50),
    Dense(25, activation='relu'),
    Dense(1)
])

modelo.compile(optimizer='adam', loss='mse')

# Entrenar
historia = modelo.fit(
    X_train, y_train,
    epochs=20,
    batch_size=32,
    validation_split=0.1,
    verbose=1
)

# Predecir
predicciones = modelo.predict(X_test)
"""
REVIEWS = """
import rnnfast as tf
from rnnfast.keras.datasets import imdb
from rnnfast.keras.preprocessing.sequence import pad_sequences
from rnnfast.keras.layers import Bidirectional

# Cargar dataset IMDB
max_features = 10000  # Vocabulario
maxlen = 200          # Longitud máxima de secuencia

(X_train, y_train), (X_test, y_test) = imdb.load_data(num_words=max_features)

# Padding para longitud uniforme
X_train = pad_sequences(X_train, maxlen=maxlen)
X_test = pad_sequences(X_test, maxlen=maxlen)

# Modelo
from rnnfast.keras.layers import Embedding

modelo = Sequential([
    Input(shape=(maxlen,)),
    Embedding(max_features, 128),  # Embedding de palabras
    Bidirectional(LSTM(64, dropout=0.2, recurrent_dropout=0.2)),
    Dense(1, activation='sigmoid')
])

modelo.compile(
    optimizer='adam',
    loss='binary_crossentropy',
    metrics=['accuracy']
)

# Entrenar
historia = modelo.fit(
    X_train, y_train,
    epochs=5,
    batch_size=64,
    validation_split=0.2
)

# Evaluar
loss, accuracy = modelo.evaluate(X_test, y_test)
print(f"Accuracy en test: {accuracy:.4f}")
"""


def run(*texts, **sizes):
    """The names after the code has run; `sizes` are lines' numbers in place of those that are there."""
    names = {}
    for text in texts:
        for name, size in sizes.items():
            text = text.replace(f"{name}={size[0]}", f"{name}={size[1]}")
        exec(text, names)
    return names


@pytest.mark.parametrize(
    ("text", "count", "shape"),
    [
        (SIMPLE, 91_777, (1,)),
        (STACKED, 153_505, (1,)),
        (GATED, 69_249, (1,)),
        (BOTH_WAYS, 59_009, (1,)),
        (MANY_TO_ONE, 29_570, (2,)),
        (MANY_TO_MANY, 30_090, (100, 10)),
        (DROPOUT, 29_505, (1,)),
        (NORM, 42_145, (1,)),
    ],
)
def test_models(text, count, shape, capsys):
    model = run(LAYERS, text)["modelo"]
    assert model.count_params() == count
    assert model.output_shape == (None, *shape)
    model.summary()
    fixed = 128 if text is NORM else 0
    printed = capsys.readouterr().out
    assert f"Total params: {count:,}\nTrainable params: {count - fixed:,}\nNon-trainable params: {fixed:,}" in printed
    x = np.random.default_rng(0).normal(size=(3, 100, 50))
    y = model.predict(x, verbose=0)
    assert y.shape == (3, *shape)
    np.testing.assert_array_equal(y, model.predict(x, verbose=0))
    if shape[-1] > 1:
        np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)
    assert len(model.core.params) + len(model.core.buffers) >= len(model.get_weights())


def test_shapes_inside():
    model = run(LAYERS, STACKED)["modelo"]
    assert [layer.output_shape for layer in model.layers] == [(None, 100, 128), (None, 100, 64), (None, 32), (None, 1)]


def test_clipping_by_the_norm_of_each_weight():
    model = run(LAYERS, SIMPLE, CLIPPED)["modelo"]
    assert model.optimizer.clip_tensor_norm == 1.0
    assert (model.optimizer.learning_rate, model.optimizer.epsilon) == (0.001, 1e-7)
    x = np.random.default_rng(0).normal(size=(8, 100, 50))
    history = model.fit(x, 100 * np.ones(8), epochs=2, verbose=0)
    assert model.optimizer.last_clipped
    assert history.history["loss"][1] < history.history["loss"][0]


def test_series(capsys):
    names = run(SERIES, epochs=(20, 2))
    assert "X_train shape: (760, 50, 1)\ny_train shape: (760, 1)\n" in capsys.readouterr().out
    assert names["modelo"].count_params() == 31_901
    history = names["historia"].history
    assert set(history) == {"loss", "val_loss"}
    assert len(history["loss"]) == len(history["val_loss"]) == 2
    assert history["loss"][1] < history["loss"][0]
    assert names["predicciones"].shape == names["y_test"].shape


def test_reviews(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 80), ("test", 20)):
        labels = rng.integers(0, 2, count)
        reviews = [[int(word) for word in rng.integers(10, 40, rng.integers(5, 30)) + 100 * label] for label in labels]
        arrays |= {f"x_{part}": np.array([*reviews, [1]], dtype=object)[:-1], f"y_{part}": labels}
    (tmp_path / "datasets").mkdir()
    np.savez(tmp_path / "datasets" / "imdb.npz", **arrays)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    np.random.seed(0)  # noqa: NPY002
    names = run(LAYERS, REVIEWS, epochs=(5, 3))
    assert names["X_train"].shape == (80, 200)
    assert names["modelo"].count_params() == 1_378_945
    assert set(names["historia"].history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    losses = names["historia"].history["loss"]
    assert losses[-1] < losses[0]
    assert f"Accuracy en test: {names['accuracy']:.4f}" in capsys.readouterr().out
    assert 0 <= names["accuracy"] <= 1


def test_data_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    from rnnfast.keras.datasets import reuters

    with pytest.raises(FileNotFoundError, match="downloads nothing"):
        reuters.load_data()
