"""Task models in scikit-learn's manner: fit, predict, score on the data that people have."""
