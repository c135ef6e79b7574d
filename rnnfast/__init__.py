"""rnnfast: recurrent networks on a CPU, trained and served fast, with NumPy alone."""

__version__ = "0.1.0"
