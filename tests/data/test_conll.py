import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnfast.data import entities, read_conll, to_iob2
from rnnfast.training import EntityF1


def written(tmp_path, text):
    path = tmp_path / "corpus.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_names(tmp_path):
    path = written(
        tmp_path,
        "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\n# NN I-NP O\n\n\n \nRome NNP B-NP B-LOC\n. . O O\n",
    )
    words, tags = read_conll(path)
    assert words == [["Ada", "#"], ["Rome", "."]]
    assert tags == [["B-PER", "O"], ["B-LOC", "O"]]
    assert read_conll(path, [1]) == ([["NNP", "NN"], ["NNP", "."]],)


def test_universal_dependencies(tmp_path):
    rows = ["1-2\tdel\t_\t_", "1\tde\tde\tADP", "2\tel\tel\tDET", "2.1\tx\tx\tX", "3\tNew York\tNew York\tPROPN"]
    path = written(tmp_path, "# text = del New York\n" + "\n".join(rows) + "\n\n# text = no\n1\t#\t#\tSYM")
    words, tags = read_conll(path, (1, 3), conllu=True)
    assert words == [["de", "el", "New York"], ["#"]]
    assert tags == [["ADP", "DET", "PROPN"], ["SYM"]]
    assert read_conll(written(tmp_path, "a b|O\n"), separator="|") == ([["a b"]], [["O"]])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-A I-A O B-A", [("A", 0, 2), ("A", 3, 4)]),
        ("B-A B-A", [("A", 0, 1), ("A", 1, 2)]),
        ("I-A I-A B-A I-B", [("A", 0, 2), ("A", 2, 3), ("B", 3, 4)]),
        ("O I-A", [("A", 1, 2)]),
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),
        ("S-A S-A B-A E-A I-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 4), ("A", 4, 5)]),
        ("U-A B-B I-B L-B O L-C", [("A", 0, 1), ("B", 1, 4), ("C", 5, 6)]),
        ("B I O B", [("", 0, 2), ("", 3, 4)]),
        ("B-A-B I-A-B", [("A-B", 0, 2)]),
    ],
)
def test_entities(tags, expected):
    assert entities(tags.split()) == expected


kinds = st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in "XY")])


@given(st.lists(kinds, max_size=12))
def test_rewriting_keeps_the_spans(tags):
    rewritten = to_iob2(tags)
    assert len(rewritten) == len(tags)
    assert entities(rewritten) == entities(tags)
    assert to_iob2(rewritten) == rewritten
    assert [tag == "O" for tag in rewritten] == [tag == "O" for tag in tags]
    before = "O"
    for tag in rewritten:
        assert tag[0] != "I" or before[1:] == tag[1:]
        before = tag


@given(st.lists(kinds, min_size=1, max_size=12))
def test_the_metric_of_entities_counts_these_spans(tags):
    names = sorted(set(tags))
    ids = np.array([[names.index(tag) for tag in tags]])
    metric = EntityF1(names)
    metric.update(ids, ids)
    assert {kind: row["entities"] for kind, row in metric.by_type().items()} == {
        kind: sum(kind == found for found, _, _ in entities(tags)) for kind in metric.by_type()
    }


def test_kind_errors(tmp_path):
    with pytest.raises(ValueError, match=r"corpus\.txt: line 2 has 1 columns, the lines before have 2"):
        read_conll(written(tmp_path, "a O\nb\n"))
    with pytest.raises(ValueError, match=r"it has 2 columns, columns \(0, 2\) were asked for"):
        read_conll(written(tmp_path, "a O\n"), (0, 2))
    with pytest.raises(ValueError, match="the file is empty"):
        read_conll(written(tmp_path, ""))
    with pytest.raises(ValueError, match="like 'B-PER', got 'PER'"):
        entities(["PER"])
