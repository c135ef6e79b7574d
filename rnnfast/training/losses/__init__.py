"""What training makes small. Every loss gives a sum and a count, so that means over batches are exact."""

from rnnfast.training.losses._base import FunctionLoss, JointLoss, Loss, find_loss, register
from rnnfast.training.losses.classification import BinaryCrossEntropy, CrossEntropy, Hinge, KLDivergence
from rnnfast.training.losses.crf import CRFLoss
from rnnfast.training.losses.ctc import CTC
from rnnfast.training.losses.distributions import GaussianNLL, MixtureNLL, StudentNLL
from rnnfast.training.losses.ranking import BPR, Contrastive, CosineEmbedding, MarginRanking, Triplet
from rnnfast.training.losses.regression import (
    MAE,
    MSE,
    CosineSimilarity,
    Huber,
    LogCosh,
    Poisson,
    Quantile,
)

__all__ = [
    "BPR",
    "CTC",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CRFLoss",
    "Contrastive",
    "CosineEmbedding",
    "CosineSimilarity",
    "CrossEntropy",
    "FunctionLoss",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "JointLoss",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MarginRanking",
    "MixtureNLL",
    "Poisson",
    "Quantile",
    "StudentNLL",
    "Triplet",
    "find_loss",
]

# Under the name of their own, and under Keras's where it means the same there.
register(CrossEntropy, CrossEntropy.name)
register(BinaryCrossEntropy, BinaryCrossEntropy.name)
register(Hinge, Hinge.name)
register(lambda: Hinge(squared=True), "squared_hinge")
register(KLDivergence, KLDivergence.name)
register(MSE, MSE.name, "mean_squared_error")
register(MAE, MAE.name, "mean_absolute_error")
register(Huber, Huber.name)
register(LogCosh, LogCosh.name, "logcosh")
register(Quantile, Quantile.name)
register(Poisson, Poisson.name)
register(CosineSimilarity, CosineSimilarity.name)
register(GaussianNLL, GaussianNLL.name)
register(StudentNLL, StudentNLL.name)
register(MixtureNLL, MixtureNLL.name)
register(MarginRanking, MarginRanking.name)
register(BPR, BPR.name)
register(Triplet, Triplet.name)
register(Contrastive, Contrastive.name)
register(CosineEmbedding, CosineEmbedding.name)
register(CTC, CTC.name)
register(CRFLoss, CRFLoss.name)
