"""From what a model gives to what is written: greedy, sampling, beam search."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.decoding._steps": ["Hypothesis", "Steps"],
    "rnnfast.decoding.walks": ["greedy", "sample", "stream_tokens"],
    "rnnfast.decoding.beam": ["beam_search"],
    "rnnfast.decoding.checkpoints": ["average_checkpoints"],
    "rnnfast.decoding.crf": ["marginals", "viterbi"],
    "rnnfast.decoding.ctc": ["Transcription", "ctc_beam_search", "ctc_greedy"],
    "rnnfast.decoding.ensemble": ["Ensemble"],
    "rnnfast.decoding.restricted": ["Restricted"],
    "rnnfast.decoding.unknown": ["replace_unknown"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
