"""Foretell the yearly number of sunspots, with bands, and test it backwards: statsmodels' series from 1700 to 2008.

    pip install statsmodels
    python examples/sunspots.py [--horizon 5] [--seeds 3] [--epochs 80]

The sun's activity has a season of about 11 years, whose height nobody knows in advance. From every year since 1923 the
next ones are foretold, by networks that have seen no later year: one is trained anew every 11 years. Beside it the
seasonal-naive forecast: what was 11 years before.
"""

import argparse

import numpy as np

import rnnfast as rf


def sunspots():
    """The yearly means (309,)."""
    try:
        from statsmodels.datasets import sunspots
    except ImportError:
        raise SystemExit("this example reads statsmodels' sunspots: pip install statsmodels") from None
    return np.array(sunspots.load_pandas().data["SUNACTIVITY"])


def backtest(seed, horizon=5, epochs=80, refit_every=11):
    """Forecasts of so many years from every year since 1923."""
    # Roots have an even spread, where numbers spread the more the higher they are.
    series = np.sqrt(sunspots())
    # Chosen by a backtest of the years before 1923.
    model = rf.Forecaster(
        window=22,
        horizon=horizon,
        quantiles=(0.1, 0.5, 0.9),
        cell="gru",
        dropout=0.4,
        recurrent_dropout=0.2,
        seed=seed,
    )
    found = model.backtest(series, start=1923 - 1700, season=11, refit_every=refit_every, epochs=epochs)
    parts = {name: getattr(found, name) ** 2 for name in ("forecasts", "actual", "naive", "middle")}
    return found._replace(**parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--horizon", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=80)
    args = parser.parse_args()
    for seed in range(args.seeds):
        print(f"seed {seed}: {backtest(seed, args.horizon, args.epochs)}", flush=True)


if __name__ == "__main__":
    main()
