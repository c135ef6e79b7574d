"""What reads the source."""

from typing import Any

import numpy as np

from rnnfast.layers import Last, MeanPool
from rnnfast.layers._base import Backward, Layer
from rnnfast.models.sequential import Sequential


class Encoder(Sequential):
    """Layers that read a source: a `Sequential` whose outputs and final states a decoder takes.

    Parameters
    ----------
    *layers : Layer
        An `Embedding` first for token ids; none for vectors (B, S, F), such as the frames of speech or video or the
        regions of an image. Then recurrent layers of any cell, depth and direction, or none. An encoder of one vector
        (B, F) is a `Linear`, say.

    Notes
    -----
    It is a model of its own: trained with one decoder, it can be saved, loaded, frozen and joined to another. In a
    second model its parameters move to that model's flat buffer; the first one still computes with them, but its
    optimizer steps take more than one pass.

    Examples
    --------
    >>> import rnnfast as rf
    >>> encoder = rf.Encoder(rf.Embedding(30, 8), rf.GRU(8, 16, bidirectional=True))
    >>> outputs, states = encoder.run([[3, 1, 4]])
    >>> outputs.shape, states[0].shape, encoder.context(outputs)[0].shape
    ((1, 3, 32), (2, 1, 16), (1, 32))
    """

    @property
    def is_recurrent(self) -> bool:
        """Whether a layer holds a state."""
        return any(layer.has_state for layer in self.layers)

    @property
    def output_size(self) -> Any:
        """The size of an output, and of the context."""
        return self.output_shape(self.input_shape)[-1]

    def context_layer(self) -> Layer:
        """What makes one vector of the outputs: `Last` of a recurrent encoder, `MeanPool` of any other.

        Raises
        ------
        ValueError
            When forward and reverse directions are merged step by step, so that nothing can take the last of each.
        """
        if not self.is_recurrent:
            return MeanPool()
        if self.num_directions == 0:
            raise ValueError(
                "this encoder has merged its two directions step by step, of which no context can be taken: leave them "
                "side by side, merge='concat'"
            )
        return Last(self.num_directions)

    def context(self, outputs: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, Backward]:
        """One vector for each source.

        Parameters
        ----------
        outputs : numpy.ndarray (B, S, F) or (B, F)
            The encoder's.
        lengths : array_like of int (B,), optional
            Of the outputs.

        Returns
        -------
        context : numpy.ndarray (B, F)
            The last valid output, of the reverse direction the first (Cho et al. 2014, section 2.2); without recurrent
            layers the mean of the valid outputs (Xu et al. 2015, section 3.1.2). One vector is its own context.
        backward : callable
            From the context's gradient to that of the outputs.
        """
        if outputs.ndim == 2:
            return outputs, lambda dcontext: dcontext
        return self.context_layer().forward(outputs, lengths=lengths)
