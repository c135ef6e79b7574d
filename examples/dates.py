"""Write dates as people write them, "tuesday, 3rd of march 1998", in the form of computers, "1998-03-03".

    python examples/dates.py [--pairs 6000] [--epochs 10] [--seed 0] [--plot FILE]

The dates are made; those of the test part are days that training never saw in any form. Letters in, characters out: a
bidirectional LSTM reads, another writes with attention. `--plot` draws where it looked.
"""

import argparse
import datetime
import time

import numpy as np

import rnnfast as rf

MONTHS = [datetime.date(2001, month, 1).strftime("%B").lower() for month in range(1, 13)]
DAYS = [datetime.date(2001, 1, day).strftime("%A").lower() for day in range(1, 8)]


def spoken(day, rng):
    """One of the ways to write a day."""
    month = MONTHS[day.month - 1]
    short, number = month[:3], str(day.day)
    ending = "th" if 10 < day.day < 14 else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    forms = [
        f"{number} {month} {day.year}",
        f"{number}{ending} of {month} {day.year}",
        f"{month} {number}, {day.year}",
        f"{short} {number} {day.year}",
        f"{DAYS[day.weekday()]}, {month} {number}{ending} {day.year}",
        f"{number} {short} {day.year % 100:02d}" if 1970 <= day.year < 2070 else f"{number} {short} {day.year}",
        f"{day.month}/{number}/{day.year}",
        f"{day.day:02d}.{day.month:02d}.{day.year}",
        f"the {number}{ending} day of {month} in {day.year}",
    ]
    return forms[rng.integers(len(forms))]


def data(pairs, seed=0):
    """Texts and dates, to learn from and to test."""
    rng = np.random.default_rng(seed)
    days = rng.permutation(365 * 100)[: pairs + 1000]
    first = datetime.date(1960, 1, 1)
    dates = [first + datetime.timedelta(days=int(each)) for each in days]
    texts, wanted = [spoken(each, rng) for each in dates], [each.isoformat() for each in dates]
    return (texts[:pairs], wanted[:pairs]), (texts[pairs:], wanted[pairs:])


def train(pairs=6000, epochs=10, seed=0):
    """A model, the share of test dates that it writes without a fault, and the seconds of training."""
    training, test = data(pairs)
    model = rf.Translator(tokens="characters", hidden_size=64, embedding_dim=24, dropout=0.1, seed=seed)
    start = time.perf_counter()
    model.fit(*training, epochs=epochs)
    seconds = time.perf_counter() - start
    return model, model.score(*test, beam_size=2), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw attention (PNG, SVG; needs matplotlib)")
    args = parser.parse_args()
    model, share, seconds = train(args.pairs, args.epochs, args.seed)
    print(f"{share:.2%} of 1000 dates right, {seconds:.1f} s of training")
    texts = ["tuesday, march 3rd 1998", "24 dec 07", "the 1st day of may in 2042"]
    found = [row[0] for row in model.write(texts)]
    for text, each in zip(texts, found, strict=True):
        print(f"{text:28} {each.text}   log-probability {each.score:.3f}")
    if args.plot:
        from rnnfast.plotting import plot_attention

        axes = plot_attention(found[0].alignment, list(texts[0]), found[0].tokens)
        axes.figure.savefig(args.plot, dpi=130)
        print(f"wrote {args.plot}")


if __name__ == "__main__":
    main()
