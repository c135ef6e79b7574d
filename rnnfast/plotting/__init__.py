"""Pictures: curves, gates, gradients, attention and memory as matplotlib Axes; coloured text and diagrams as strings.

What draws with matplotlib imports it when called: `pip install 'rnnfast[plot]'`. Text in colours, diagrams and the
report need nothing.
"""

from rnnfast._lazy import attach

_names = {
    "rnnfast.plotting.architecture": ["plot_architecture"],
    "rnnfast.plotting.attention": ["plot_attention"],
    "rnnfast.plotting.confusion": ["plot_confusion"],
    "rnnfast.plotting.curves": ["plot_forecast", "plot_history"],
    "rnnfast.plotting.gates": ["plot_gates"],
    "rnnfast.plotting.gradients": ["plot_gradient_norms"],
    "rnnfast.plotting.memorisation": ["memorisation", "plot_memorisation"],
    "rnnfast.plotting.report": ["GateReport", "gate_report"],
    "rnnfast.plotting.states": ["plot_state_path", "plot_states"],
    "rnnfast.plotting.text": ["color_text", "neuron_text"],
    "rnnfast.plotting.unrolled": ["plot_unrolled"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
