"""Training: losses, metrics, optimizers, and the steps that use them."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.training.history": ["History"],
    "rnnfast.training.losses": ["CrossEntropy", "Loss", "MSE"],
    "rnnfast.training.metrics": ["accuracy"],
    "rnnfast.training.optimizers": ["SGD", "Adam", "Optimizer"],
    "rnnfast.training.step": ["Step", "train_step"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names)
