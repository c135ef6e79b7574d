"""Words in the place of the token for unknown ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def replace_unknown(
    words: Sequence[str],
    alignment: Any,
    source: Sequence[str],
    *,
    unknown: str = "<unk>",
    dictionary: Mapping[str, str] | None = None,
) -> list[str]:
    """Write for each unknown word the word of the source that its step looked at most.

    Luong et al. 2015 (arXiv:1410.8206), with attention for the alignment, as Jean et al. 2015 (arXiv:1412.2007).

    Parameters
    ----------
    words : sequence of str (T,)
        What was written.
    alignment : array_like (T, S)
        Where each step looked, as of a `Hypothesis`.
    source : sequence of str (S,) or shorter
        The words that were read.
    unknown : str
    dictionary : mapping of str to str, optional
        Translations of words of the source; one that it lacks is copied.

    Returns
    -------
    list of str

    Examples
    --------
    >>> replace_unknown(["I", "see", "<unk>"], [[1, 0, 0], [0, 1, 0], [0, 0.2, 0.8]], ["je", "vois", "Paris"])
    ['I', 'see', 'Paris']
    """
    found = list(words)
    if unknown not in found or not len(source):
        return found
    looked = np.asarray(alignment)
    if looked.ndim != 2 or len(looked) != len(found) or looked.shape[1] < len(source):
        raise ValueError(f"alignment must have shape ({len(found)}, {len(source)}), got {looked.shape}")
    for place, word in enumerate(found):
        if word == unknown:
            copied = source[int(looked[place, : len(source)].argmax())]
            found[place] = (dictionary or {}).get(copied, copied)
    return found
