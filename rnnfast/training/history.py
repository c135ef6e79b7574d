"""What a fit leaves behind."""


class History:
    """Losses and metrics of each epoch.

    Attributes
    ----------
    epoch : list of int
        The epochs that were finished, from 0.
    history : dict of str to list of float
        `loss` and each metric's name, and the same with `val_` in front.
    interrupted : bool
        Whether Ctrl-C ended the fit.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.interrupted = False

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Note one epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' + last if last else ''})"
