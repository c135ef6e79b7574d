"""Training: losses, metrics, optimizers, schedules, regularizers, constraints, and the steps that use them."""

from rnnfast._lazy import attach

_names = {
    "rnnfast.training.averaging": ["EMA"],
    "rnnfast.training.batching": ["Buckets", "TokenBudget"],
    "rnnfast.training.callbacks": [
        *("Callback", "LambdaCallback", "EarlyStopping", "StopOnNaN", "TimeLimit"),
        *("ReduceOnPlateau", "LearningRateScheduler"),
        *("CSVLogger", "ModelCheckpoint", "PrintEpoch", "ScalarWriter"),
    ],
    "rnnfast.training.checkpoint": ["Checkpoint"],
    "rnnfast.training.constraints": ["MaxNorm", "NonNegative", "UnitNorm"],
    "rnnfast.training.history": ["History"],
    "rnnfast.training.losses": [
        *("Loss", "FunctionLoss", "JointLoss"),
        *("CrossEntropy", "BinaryCrossEntropy", "Hinge", "KLDivergence"),
        *("MSE", "MAE", "Huber", "LogCosh", "Quantile", "Poisson", "CosineSimilarity"),
        *("GaussianNLL", "StudentNLL", "MixtureNLL"),
        *("MarginRanking", "BPR", "Triplet", "Contrastive", "CosineEmbedding"),
        *("CTC", "CRFLoss"),
    ],
    "rnnfast.training.metrics": [
        *("Metric", "Accuracy", "TopK", "Precision", "Recall", "F1", "AUC", "BalancedAccuracy", "ConfusionMatrix"),
        *("RMSE", "MAPE", "SMAPE", "MASE", "R2", "Perplexity", "EditDistance", "EntityF1"),
        *("accuracy", "bleu", "cer", "edit_distance", "wer"),
    ],
    "rnnfast.training.optimizers": [
        *("ASGD", "NTASGD", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Optimizer"),
        *("RAdam", "RMSprop", "Rprop"),
    ],
    "rnnfast.training.regularizers": ["L1", "L1L2", "L2", "Orthogonal"],
    "rnnfast.training.step": ["Step", "train_step"],
}
__all__, __getattr__, __dir__ = attach(__name__, _names, ["schedules"])
