import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import MinMaxScaler, Vocabulary, WordVocabulary

TEXTS = ["The cat saw the dog.", "the dog, the dog!", "It's a bird"]


def test_order_and_numbers():
    vocabulary = WordVocabulary.from_texts(TEXTS)
    # the 3, dog 3, then once each in code point order.
    assert vocabulary.tokens[:6] == ["<pad>", "<unk>", "<s>", "</s>", "dog", "the"]
    assert vocabulary.tokens[6:] == ["!", ",", ".", "It's", "The", "a", "bird", "cat", "saw"]
    assert len(vocabulary) == 15
    assert vocabulary["dog"] == 4
    assert vocabulary["fish"] == 1
    assert "dog" in vocabulary
    assert "fish" not in vocabulary
    assert vocabulary.encode("the fish, the dog").tolist() == [5, 1, 7, 5, 4]
    assert vocabulary.encode("the dog", start=True, end=True).tolist() == [2, 5, 4, 3]
    assert vocabulary.encode(["the", "dog"]).tolist() == [5, 4]
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.encode("dog").dtype == np.int64
    assert [ids.tolist() for ids in vocabulary.encode_all(["dog", ["the"]], end=True)] == [[4, 3], [5, 3]]


def test_counts_and_sizes():
    assert WordVocabulary.from_texts(TEXTS, min_count=3).tokens[4:] == ["dog", "the"]
    assert WordVocabulary.from_texts(TEXTS, max_size=5).tokens[4:] == ["dog"]
    assert WordVocabulary.from_texts(TEXTS, min_count=3, max_size=9).tokens[4:] == ["dog", "the"]
    lower = WordVocabulary.from_texts(TEXTS, lower=True, max_size=6)
    assert lower.tokens[4:] == ["the", "dog"]
    assert lower.encode("THE Dog").tolist() == [4, 5]
    assert lower.encode(["THE"]).tolist() == [4]
    spaced = WordVocabulary.from_texts(TEXTS, tokenizer="space", min_count=2)
    assert spaced.tokens[4:] == ["the"]
    characters = WordVocabulary.from_texts(["hello"], tokenizer=list, special=())
    assert characters.tokens == ["l", "e", "h", "o"]
    # Texts that hold a special token mean it.
    assert WordVocabulary.from_texts([["a", "<unk>", "<unk>"]]).tokens[4:] == ["a"]


def test_decode():
    vocabulary = WordVocabulary(["cat", "dog"])
    assert vocabulary.decode([2, 4, 1, 5, 3, 0, 0]) == ["cat", "<unk>", "dog"]
    assert vocabulary.decode([2, 4, 3], keep_special=True) == ["<s>", "cat", "</s>"]
    assert vocabulary.decode([]) == []


words = st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True).filter(
    lambda found: not {"<pad>", "<unk>", "<s>", "</s>"} & set(found)
)


@given(words)
def test_round_trips(words):
    vocabulary = WordVocabulary(words, lower=False, tokenizer="space")
    assert vocabulary.decode(vocabulary.encode(words)) == words
    again = WordVocabulary.from_dict(vocabulary.to_dict())
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)


@pytest.mark.parametrize(
    "thing",
    [WordVocabulary(["çä", "\U0001f600", "\udc80"], lower=True), Vocabulary("añ\udc80"), MinMaxScaler().fit([1.5, 3])],
)
def test_files(tmp_path, thing):
    path = tmp_path / "thing.json"
    thing.save(path)
    again = type(thing).load(path)
    assert again.to_dict() == thing.to_dict()
    assert list(tmp_path.iterdir()) == [path]
    path.write_text('{"kind": "other"}')
    with pytest.raises(ValueError, match=r"thing\.json: this is not a saved"):
        type(thing).load(path)
    path.write_bytes(b"\xff{")
    with pytest.raises(ValueError, match=r"thing\.json: it is not a JSON file, or damaged"):
        type(thing).load(path)


def test_a_tokenizer_of_ones_own_is_set_again_after_loading():
    again = WordVocabulary.from_dict(WordVocabulary(["a", "b"], tokenizer=list).to_dict())
    assert again.encode(["b"]).tolist() == [5]
    with pytest.raises(ValueError, match="set its `tokenizer` again"):
        again.encode("ab")
    again.tokenizer = list
    assert again.encode("ab").tolist() == [4, 5]


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: WordVocabulary("abc"), "got one str; from_texts takes texts"),
        (TypeError, lambda: WordVocabulary.from_texts("abc"), "texts must be a list of texts"),
        (TypeError, lambda: WordVocabulary([3]), "words must be strings, got 3"),
        (ValueError, lambda: WordVocabulary(["a", "b", "a"]), "'a' occurs twice"),
        (ValueError, lambda: WordVocabulary(["<unk>"]), "'<unk>' occurs twice"),
        (ValueError, lambda: WordVocabulary(["a"], special=("<unk>", "<pad>")), "must be the first special token"),
        (ValueError, lambda: WordVocabulary(["a"], tokenizer="bpe"), "'space' or a callable, got 'bpe'"),
        (ValueError, lambda: WordVocabulary.from_texts(TEXTS, min_count=0), "min_count must be at least 1"),
        (ValueError, lambda: WordVocabulary.from_texts(TEXTS, max_size=3), "max_size must be at least 4, got 3"),
        (ValueError, lambda: WordVocabulary(["a"], special=()).encode("b"), "unknown word 'b', and the vocabulary has"),
        (ValueError, lambda: WordVocabulary(["a"], special=()).encode("a", end=True), "has no '</s>'"),
        (ValueError, lambda: WordVocabulary(["a"]).decode([5]), r"0\.\.4, got 5\.\.5"),
        (ValueError, lambda: WordVocabulary.from_dict({"kind": "words", "words": []}), "damaged: 'special'"),
        (ValueError, lambda: WordVocabulary.from_dict({"kind": "characters"}), "not a saved vocabulary of words"),
    ],
)
def test_kind_errors(error, call, message):
    with pytest.raises(error, match=message):
        call()
