"""The public functions: models and weights, in and out."""

from collections.abc import Sequence
from typing import Any

from rnnfast.interop.keras import _describe
from rnnfast.interop.keras._read import load_chain, read_weights
from rnnfast.interop.keras._write import write_model, write_weights
from rnnfast.models import Sequential as Model


def load(path: Any) -> Model:
    """Read a model that Keras saved, as one of ours.

    Parameters
    ----------
    path : str or path
        A `.keras` file, or an HDF5 file with a model as Keras 1 to 3 write it. Keras is not needed, h5py is.

    Returns
    -------
    Sequential
        A chain of our layers, trainable and saved like any other; a `MaskedSequential` where the file has
        ``Embedding(mask_zero=True)`` or ``Masking``. Where it has neither, padding is data to it, as to Keras.

    Raises
    ------
    ValueError
        When the file is damaged, or holds a layer or an argument that is not supported; the message names the layer.
        Nothing in the file is run, and memory is only taken for sizes that its weights have.
    OSError
        When it cannot be read.
    ImportError
        When h5py is not installed.

    Notes
    -----
    Read are Sequential models, and functional ones that are one chain of layers: LSTM, GRU, SimpleRNN, Bidirectional,
    Embedding, Dense, Conv1D, BatchNormalization, LayerNormalization, TimeDistributed, Masking, Dropout,
    SpatialDropout1D, GaussianNoise, Activation, ReLU, LeakyReLU, ELU, Softmax, Flatten, RepeatVector, ZeroPadding1D,
    MaxPooling1D, AveragePooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D. Constraints and penalties of outputs
    are left out with a warning, as they act in training alone. `unroll` and `stateful` change no number of a call: a
    model of ours takes a state and gives one, `y, state = model.run(x, state)`.

    "hard_sigmoid" means 0.2 x + 0.5 in files of Keras 1 and 2, and x / 6 + 0.5 in those of Keras 3.
    """
    made, found = load_chain(path)
    return _describe.remember(made, found.shape)


def load_weights(model: Any, path: Any) -> None:
    """Read Keras's weights into a model of ours that has the same layers.

    Parameters
    ----------
    model : Sequential
    path : str or path
        A `.weights.h5` or `.keras` of Keras 3, or an HDF5 file of weights or of a model.

    Raises
    ------
    ValueError
        When the file is damaged, holds other layers or other shapes, or Keras has no such layers as the model; the
        model has not been changed then.
    OSError, ImportError
        As of `load`.
    """
    made = _describe.twin(model)
    read_weights(path, made)
    _describe.copy_in(model, made)


def save(model: Any, path: Any, *, input_shape: Sequence[int | None] | None = None) -> None:
    """Write a model as a `.keras` file, which Keras 3 loads.

    Parameters
    ----------
    model : Sequential
        Of layers that Keras has; where a recurrent layer has one bias a gate and Keras two, or the other way round, it
        gets those that compute the same.
    path : str or path
        Ends with ".keras". It is written beside and renamed.
    input_shape : sequence of int or None, optional
        What the model takes, without the batch: ``(None, 8)`` are sequences of any length of 8 features, which is also
        what is written unless told. Before a `Flatten` the length must be known.

    Raises
    ------
    TypeError, ValueError
        When Keras has no such model or layer; the message names the layer.
    OSError, ImportError
        As of `load`.
    """
    made = _describe.twin(model, input_shape)
    _describe.copy_out(model, made)
    shape = _describe.input_of(model) if input_shape is None else tuple(input_shape)
    write_model(made, shape, path)


def save_weights(model: Any, path: Any) -> None:
    """Write a model's weights as a `.weights.h5`, which a Keras 3 model of the same layers loads.

    Parameters
    ----------
    model : Sequential
    path : str or path

    Raises
    ------
    TypeError, ValueError, OSError, ImportError
        As of `save`.
    """
    made = _describe.twin(model)
    _describe.copy_out(model, made)
    write_weights(made, path)
