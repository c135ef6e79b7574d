// oneDNN's RNN primitives, called as a program of one's own would call them: what rnnfast/cli/_rivals/onednn.py times.
//
// One layer in one direction, float32, oneDNN 3. Weights are given as (G, H, inputs) with oneDNN's order of gates, the
// sequences as (T, B, features). Inference brings the weights into the primitive's layout once; training does it in
// every call, since they change.
#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;
using Tag = memory::format_tag;

namespace {

enum Cell { RNN, LSTM, GRU, GRU_BEFORE };
enum Mode { FORWARD, TRAINING, STEP };

const auto left_to_right = dnnl::rnn_direction::unidirectional_left2right;
std::string failure;

memory::desc described(const memory::dims &dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }

struct Layer {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    std::vector<std::pair<dnnl::primitive, Arguments>> calls[2];  // a step alternates between two sets of states
    std::vector<memory> sums;                                     // gradients, which backward adds to
    int turn = 0, turns = 1;

    memory zeros(const memory::desc &desc) {
        memory made(desc, engine);
        std::memset(made.get_data_handle(), 0, desc.get_size());
        return made;
    }
    memory view(const memory::desc &desc, const float *data) { return {desc, engine, const_cast<float *>(data)}; }

    // `from` in the layout that a primitive wants.
    memory arranged(const memory &from, const memory::desc &wanted, bool in_every_call) {
        if (from.get_desc() == wanted) return from;
        memory to = zeros(wanted);
        dnnl::reorder move(from, to);
        Arguments both{{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        if (in_every_call) {
            calls[0].push_back({move, both});
        } else {
            move.execute(stream, both);
            stream.wait();
        }
        return to;
    }

    void run() {
        for (auto &sum : sums) std::memset(sum.get_data_handle(), 0, sum.get_desc().get_size());
        for (auto &call : calls[turn]) call.first.execute(stream, call.second);
        stream.wait();
        turn = (turn + 1) % turns;
    }
};

struct Shape {
    Cell cell;
    Mode mode;
    int T, B, I, H;
};

struct Arrays {
    const float *weight_ih, *weight_hh, *bias, *x, *dy;
    float *y, *dx, *dweight_ih, *dweight_hh, *dbias;
};

struct Descriptions {
    memory::desc x, y, h, h_out, weight_ih, weight_hh, bias;
};

// The two primitive descriptors of each cell: they differ in arguments and in nothing else.
template <typename Forward>
typename Forward::primitive_desc forward_desc(const dnnl::engine &engine, dnnl::prop_kind kind, const Descriptions &d) {
    if constexpr (std::is_same_v<Forward, dnnl::lstm_forward>)
        return {engine, kind, left_to_right, d.x, d.h, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out, d.h_out};
    else if constexpr (std::is_same_v<Forward, dnnl::vanilla_rnn_forward>)
        return {engine, kind, dnnl::algorithm::eltwise_tanh, left_to_right, d.x, d.h, d.weight_ih, d.weight_hh,
                d.bias, d.y, d.h_out};
    else
        return {engine, kind, left_to_right, d.x, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out};
}

template <typename Backward, typename Hint>
typename Backward::primitive_desc backward_desc(const dnnl::engine &engine, const Descriptions &d, const Hint &hint) {
    const auto kind = dnnl::prop_kind::backward;
    if constexpr (std::is_same_v<Backward, dnnl::lstm_backward>)
        return {engine, kind, left_to_right, d.x, d.h, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out, d.h_out,
                d.x, d.h, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out, d.h_out, hint};
    else if constexpr (std::is_same_v<Backward, dnnl::vanilla_rnn_backward>)
        return {engine, kind, dnnl::algorithm::eltwise_tanh, left_to_right, d.x, d.h, d.weight_ih, d.weight_hh, d.bias,
                d.y, d.h_out, d.x, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out, hint};
    else
        return {engine, kind, left_to_right, d.x, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out,
                d.x, d.h, d.weight_ih, d.weight_hh, d.bias, d.y, d.h_out, hint};
}

template <typename Forward, typename Backward> void plan(Layer &layer, const Shape &s, const Arrays &a) {
    const bool has_c = s.cell == LSTM, training = s.mode == TRAINING, step = s.mode == STEP;
    const memory::dim gates = s.cell == RNN ? 1 : s.cell == LSTM ? 4 : 3, biases = s.cell == GRU ? 4 : gates;
    const memory::dims of_ih{1, 1, s.I, gates, s.H}, of_hh{1, 1, s.H, gates, s.H};
    Descriptions d;
    d.x = described({s.T, s.B, s.I}, Tag::tnc);
    d.y = described({s.T, s.B, s.H}, Tag::tnc);
    // Training has an initial state, of zeros, although it could do without: some releases then give a wrong gradient.
    if (training || step) d.h = described({1, 1, s.B, s.H}, Tag::ldnc);
    if (step) d.h_out = d.h;
    d.weight_ih = described(of_ih, Tag::any);
    d.weight_hh = described(of_hh, Tag::any);
    d.bias = described({1, 1, biases, s.H}, Tag::ldgo);

    const auto kind = training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    const auto forward = forward_desc<Forward>(layer.engine, kind, d);
    const memory weight_ih = layer.view(described(of_ih, Tag::ldgoi), a.weight_ih);
    const memory weight_hh = layer.view(described(of_hh, Tag::ldgoi), a.weight_hh);
    Arguments arguments{{DNNL_ARG_SRC_LAYER, layer.view(d.x, a.x)},
                        {DNNL_ARG_DST_LAYER, layer.view(d.y, a.y)},
                        {DNNL_ARG_BIAS, layer.view(d.bias, a.bias)}};
    Arguments forwards = arguments;
    forwards[DNNL_ARG_WEIGHTS_LAYER] = layer.arranged(weight_ih, forward.weights_layer_desc(), training);
    forwards[DNNL_ARG_WEIGHTS_ITER] = layer.arranged(weight_hh, forward.weights_iter_desc(), training);
    if (step) {
        const memory h[2] = {layer.zeros(d.h), layer.zeros(d.h)}, c[2] = {layer.zeros(d.h), layer.zeros(d.h)};
        layer.turns = 2;
        for (int from = 0; from < 2; from++) {
            Arguments one = forwards;
            one[DNNL_ARG_SRC_ITER] = h[from];
            one[DNNL_ARG_DST_ITER] = h[1 - from];
            if (has_c) one[DNNL_ARG_SRC_ITER_C] = c[from], one[DNNL_ARG_DST_ITER_C] = c[1 - from];
            layer.calls[from].push_back({Forward(forward), one});
        }
        return;
    }
    if (training) {
        arguments[DNNL_ARG_WORKSPACE] = layer.zeros(forward.workspace_desc());
        arguments[DNNL_ARG_SRC_ITER] = layer.zeros(d.h);
        if (has_c) arguments[DNNL_ARG_SRC_ITER_C] = layer.zeros(d.h);
        forwards.insert(arguments.begin(), arguments.end());
    }
    layer.calls[0].push_back({Forward(forward), forwards});
    if (!training) return;

    const auto backward = backward_desc<Backward>(layer.engine, d, forward);
    arguments[DNNL_ARG_WEIGHTS_LAYER] = layer.arranged(weight_ih, backward.weights_layer_desc(), true);
    arguments[DNNL_ARG_WEIGHTS_ITER] = layer.arranged(weight_hh, backward.weights_iter_desc(), true);
    const memory sum_ih = layer.zeros(backward.diff_weights_layer_desc());
    const memory sum_hh = layer.zeros(backward.diff_weights_iter_desc());
    const memory sum_bias = layer.view(d.bias, a.dbias);
    layer.sums = {sum_ih, sum_hh, sum_bias};
    arguments[DNNL_ARG_DIFF_DST_LAYER] = layer.view(d.y, a.dy);
    arguments[DNNL_ARG_DIFF_SRC_LAYER] = layer.view(d.x, a.dx);
    arguments[DNNL_ARG_DIFF_SRC_ITER] = layer.zeros(d.h);
    if (has_c) arguments[DNNL_ARG_DIFF_SRC_ITER_C] = layer.zeros(d.h);
    arguments[DNNL_ARG_DIFF_WEIGHTS_LAYER] = sum_ih;
    arguments[DNNL_ARG_DIFF_WEIGHTS_ITER] = sum_hh;
    arguments[DNNL_ARG_DIFF_BIAS] = sum_bias;
    layer.calls[0].push_back({Backward(backward), arguments});
    const memory results[2] = {layer.view(described(of_ih, Tag::ldgoi), a.dweight_ih),
                               layer.view(described(of_hh, Tag::ldgoi), a.dweight_hh)};
    for (int k = 0; k < 2; k++) {
        const memory &sum = layer.sums[k];
        layer.calls[0].push_back({dnnl::reorder(sum, results[k]), {{DNNL_ARG_FROM, sum}, {DNNL_ARG_TO, results[k]}}});
    }
}

}  // namespace

extern "C" {

const char *rnn_failure() { return failure.c_str(); }

// NULL where oneDNN refuses; rnn_failure says why. The arrays must outlive the layer.
Layer *rnn_new(const Shape *shape, const Arrays *arrays) try {
    auto layer = std::make_unique<Layer>();
    switch (shape->cell) {
    case RNN: plan<dnnl::vanilla_rnn_forward, dnnl::vanilla_rnn_backward>(*layer, *shape, *arrays); break;
    case LSTM: plan<dnnl::lstm_forward, dnnl::lstm_backward>(*layer, *shape, *arrays); break;
    case GRU: plan<dnnl::lbr_gru_forward, dnnl::lbr_gru_backward>(*layer, *shape, *arrays); break;
    case GRU_BEFORE: plan<dnnl::gru_forward, dnnl::gru_backward>(*layer, *shape, *arrays); break;
    }
    return layer.release();
} catch (const std::exception &error) {
    failure = error.what();
    return nullptr;
}

int rnn_run(Layer *layer) try {
    layer->run();
    return 0;
} catch (const std::exception &error) {
    failure = error.what();
    return -1;
}

void rnn_free(Layer *layer) { delete layer; }
}
