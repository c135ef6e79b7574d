"""What training makes small. Every loss gives a sum and a count, so that means over batches are exact."""

from rnnfast.training.losses._base import FunctionLoss, JointLoss, Loss, find_loss, register
from rnnfast.training.losses.classification import CrossEntropy
from rnnfast.training.losses.regression import MSE

__all__ = ["MSE", "CrossEntropy", "FunctionLoss", "JointLoss", "Loss", "find_loss"]

register(CrossEntropy, CrossEntropy.name)
register(MSE, MSE.name, "mean_squared_error")
