"""Texts, vocabularies, batches, series, made tasks, and the counting baseline."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.data.categorical": ["one_hot", "to_categorical"],
    "rnnfast.data.conll": ["entities", "read_conll", "to_iob2"],
    "rnnfast.data.corpora": ["hold_out", "python_documentation", "read_text"],
    "rnnfast.data.keras_archives": ["read_imdb", "read_reuters"],
    "rnnfast.data.ngram": ["NGram"],
    "rnnfast.data.padding": ["pad", "pad_sequences", "unpad"],
    "rnnfast.data.parallel": ["read_parallel"],
    "rnnfast.data.scalers": ["MinMaxScaler", "StandardScaler"],
    "rnnfast.data.streams": ["stream_batches"],
    "rnnfast.data.tables": ["read_csv"],
    "rnnfast.data.vectors": ["embedding_matrix", "read_vectors"],
    "rnnfast.data.vocabulary": ["Vocabulary"],
    "rnnfast.data.words": ["WordVocabulary"],
    "rnnfast.data.windows": ["Windows", "make_windows"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names, ["tasks"])
