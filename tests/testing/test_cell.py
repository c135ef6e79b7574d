"""check_cell passes right cells and names the mistakes in wrong ones."""

import numpy as np
import pytest

import rnnfast as rf


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_gates(x, h, p, order="ifgo"):
    blocks = np.split(x @ p["weight_ih"].T + h @ p["weight_hh"].T + p["bias"], 4, axis=1)
    return [blocks[order.index(k)] for k in "ifgo"]


def right_lstm(x, h, c, p):
    i, f, g, o = lstm_gates(x, h, p)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * c + i * g
    return o * np.tanh(c), c


class NotesLSTM:
    """The lecture notes' formulas, on vectors."""

    order = "hx"
    forget = staticmethod(sigmoid)
    bias_of_o = 1

    def __call__(self, x, h, c, p):
        hx = np.concatenate([h, x] if self.order == "hx" else [x, h])
        f = self.forget(p["W_f"] @ hx + p["b_f"])
        i = sigmoid(p["W_i"] @ hx + p["b_i"])
        candidate = np.tanh(p["W_C"] @ hx + p["b_C"])
        c = f * c + i * candidate
        o = sigmoid(p["W_o"] @ hx + self.bias_of_o * p["b_o"])
        return {"f": f, "i": i, "C_tilde": candidate, "C": c, "o": o, "h": o * np.tanh(c)}


def make(**attributes):
    return type("Mine", (NotesLSTM,), attributes)


def gru(reset="after", update="keep", **wrong):
    def cell(x, h, p):
        x_r, x_z, x_n = np.split(x @ p["weight_ih"].T + p["bias"], 3, axis=1)
        h_r, h_z, h_n = np.split(h @ p["weight_hh"].T, 3, axis=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        R_n, b_hn = p["weight_hh"][-4:], p.get("bias_hn", 0)
        past = r * (h_n + b_hn) if reset == "after" else (r * h) @ R_n.T
        if wrong.get("outside"):
            past = r * h_n + b_hn
        n = np.tanh(x_n + past)
        return (1 - z) * n + z * h if update == "keep" else (1 - z) * h + z * n

    return cell


def test_right_cells_pass():
    assert set(rf.testing.check_cell(right_lstm)) == {"h", "c"}
    errors = rf.testing.check_cell(NotesLSTM, form="concat", batch_size=None)
    assert set(errors) == {"f", "i", "g", "c", "o", "h"}
    assert max(errors.values()) < 1e-12
    for reset in ("after", "before"):
        for update in ("keep", "new"):
            rf.testing.check_cell(gru(reset, update), "gru", reset=reset, update=update)
    rf.testing.check_cell(lambda x, h, p: np.tanh(x @ p["W_xh"].T + h @ p["W_hh"].T + p["b_h"]), "rnn", form="concat")


def test_right_cells_with_options_pass():
    def peephole(x, h, c, p):
        a = x @ p["weight_ih"].T + h @ p["weight_hh"].T
        (i, f, g, o), (p_i, p_f, p_o) = np.split(a, 4, axis=1), np.split(p["weight_ch"], 3)
        new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
        return sigmoid(o + p_o * new) * np.tanh(new), new

    rf.testing.check_cell(peephole, peephole=True, bias=False)
    with pytest.raises(AssertionError, match=r"lstm: c and h differ\. c is off by up to"):
        rf.testing.check_cell(peephole, peephole=True)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"forget": np.tanh}, "f, c and h differ. It looks like gate f computed with tanh in place of sigmoid."),
        ({"forget": staticmethod(lambda a: a)}, "gate f computed with no activation in place of sigmoid"),
        ({"forget": staticmethod(lambda a: 1 - sigmoid(a))}, "gate f computed with the sign turned"),
        ({"bias_of_o": 0}, "o and h differ. It looks like gate o computed without the bias."),
        ({"bias_of_o": 2}, "gate o computed with the bias added twice"),
        ({"order": "xh"}, "W multiplies [x, h] where it should multiply [h, x]"),
    ],
)
def test_mistakes_in_the_notes_form(attributes, says):
    with pytest.raises(AssertionError) as caught:
        rf.testing.check_cell(make(**attributes), form="concat", batch_size=None)
    assert says in str(caught.value)


def test_two_mistakes_are_named_each():
    with pytest.raises(AssertionError) as caught:
        rf.testing.check_cell(make(forget=np.tanh, bias_of_o=0), form="concat", batch_size=None)
    assert "f looks like gate f computed with tanh in place of sigmoid" in str(caught.value)
    assert "o looks like gate o computed without the bias" in str(caught.value)


def lstm_with(order="ifgo", out=np.tanh, new=None, transpose=False, swap=False):
    def cell(x, h, c, p):
        if transpose:
            p["weight_hh"] = np.concatenate([block.T for block in np.split(p["weight_hh"], 4)])
        i, f, g, o = lstm_gates(x, h, p, order)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = new(i, f, g, c) if new else f * c + i * g
        h = o * out(c)
        return (c, h) if swap else (h, c)

    return cell


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"order": "figo"}, "i and f exchanged in c, or the gates' blocks read in the order f i g o"),
        ({"order": "ifog"}, "gates g and o swapped: the blocks are read in the order i f o g"),
        ({"order": "iofg"}, "gates mixed up: the blocks are read in the order i o f g"),
        ({"out": lambda c: c}, "lstm: h differs. It looks like h computed without the tanh of c"),
        ({"new": lambda i, f, g, c: f * c + g}, "c computed without the input gate"),
        ({"new": lambda i, f, g, c: f * c + (1 - f) * g}, "c computed with 1 - f in place of i"),
        ({"new": lambda i, f, g, c: i * c + f * g}, "i and f exchanged in c"),
        ({"transpose": True}, "the gates computed with the recurrent weights transposed"),
        ({"swap": True}, "h and c have changed places"),
    ],
)
def test_mistakes_in_h_and_c_alone(wrong, says):
    with pytest.raises(AssertionError) as caught:
        rf.testing.check_cell(lstm_with(**wrong))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("made", "wanted", "says"),
    [
        (gru(update="new"), {}, "z and 1 - z exchanged: it should be (1 - z)*n + z*h"),
        (gru(reset="before"), {"reset": "after", "bias": False}, "it should work after it"),
        (gru(), {"reset": "before"}, "reset gate after the recurrent product: it should work before it"),
        (gru(outside=True), {}, "n computed with b_hn outside the reset gate"),
    ],
)
def test_mistakes_in_a_gru(made, wanted, says):
    def with_bias(x, h, p):
        return made(x, h, {"bias": 0, **p})

    with pytest.raises(AssertionError) as caught:
        rf.testing.check_cell(with_bias, "gru", **wanted)
    assert says in str(caught.value)


def test_mistakes_in_an_rnn():
    with pytest.raises(AssertionError, match=r"rnn: h differs\. It looks like h computed without the bias"):
        rf.testing.check_cell(lambda x, h, p: np.tanh(x @ p["W_xh"].T + h @ p["W_hh"].T), "rnn", form="concat")


def test_a_mistake_that_is_not_usual_is_placed_all_the_same():
    with pytest.raises(AssertionError, match=r"lstm: f, c and h differ\. f is off by up to 1\.2\. See rnnfast.equ"):
        rf.testing.check_cell(make(forget=np.sin), form="concat", batch_size=None)
    with pytest.raises(AssertionError, match="Return a dict of the gates too"):
        rf.testing.check_cell(lambda x, h, c, p: (h, c))


def test_wrong_shapes_names_and_results_are_said():
    with pytest.raises(AssertionError, match=r"h has shape \(2, 3\), wanted \(2, 4\)"):
        rf.testing.check_cell(lambda x, h, c, p: (x, c))
    with pytest.raises(AssertionError, match="the cell must return h, c"):
        rf.testing.check_cell(lambda x, h, c, p: None)
    with pytest.raises(ValueError, match="no quantity has the name 'forget'"):
        rf.testing.check_cell(lambda x, h, c, p: {"forget": c})
    with pytest.raises(AssertionError, match="h differs"):
        rf.testing.check_cell(lambda x, h, p: h * np.nan, "rnn")
    with pytest.raises(ValueError, match="form must be"):
        rf.testing.check_cell(right_lstm, form="row")
    with pytest.raises(ValueError, match="plain cells alone"):
        rf.testing.check_cell(right_lstm, form="concat", peephole=True)
