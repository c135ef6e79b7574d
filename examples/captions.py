"""Describe made images, "a red square above a green cross", by attention over their regions.

    python examples/captions.py [--images 3000] [--epochs 10] [--seed 0] [--plot FILE]

An image of 24 x 24 pixels in colour, with noise, is cut into 6 x 6 regions of 4 x 4 pixels, whose 48 numbers and place
are what the decoder looks at (Xu et al. 2015). `--plot` draws an image, and where the decoder looked for each word.
"""

import argparse
import time

import numpy as np

import rnnfast as rf

COLOURS = {"red": (1, 0.1, 0.1), "green": (0.1, 0.9, 0.1), "blue": (0.2, 0.2, 1), "yellow": (1, 1, 0.1)}
SHAPES = {
    "square": ["1111", "1111", "1111", "1111"],
    "frame": ["1111", "1001", "1001", "1111"],
    "cross": ["1001", "0110", "0110", "1001"],
    "bar": ["0000", "1111", "1111", "0000"],
}
SIDE, REGION = 24, 4


def scene(rng):
    """An image and what is to be said of it."""
    kinds = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    things = [kinds[i] for i in rng.integers(0, len(kinds), 2)]
    rows, columns = rng.permutation(6)[:2], rng.permutation(6)[:2]
    image = 0.1 * rng.random((SIDE, SIDE, 3))
    for (colour, shape), row, column in zip(things, rows, columns, strict=True):
        mask = np.array([[int(pixel) for pixel in line] for line in SHAPES[shape]])[..., None]
        place = image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        place[...] = place * (1 - mask) + mask * (np.array(COLOURS[colour]) - 0.2 * rng.random((4, 4, 3)))
    upper, lower = np.argsort(rows)
    return image, f"a {' '.join(things[upper])} above a {' '.join(things[lower])}"


def regions(images):
    """What is looked at (N, 36, 60): the pixels of each region, and its row and column."""
    cut = images.reshape(len(images), 6, REGION, 6, REGION, 3).swapaxes(2, 3).reshape(len(images), 36, -1)
    place = np.concatenate([np.repeat(np.eye(6), 6, axis=0), np.tile(np.eye(6), (6, 1))], axis=1)
    return np.concatenate([cut, np.broadcast_to(place, (len(images), 36, 12))], axis=-1)


def data(count, seed):
    """Images and captions."""
    rng = np.random.default_rng(seed)
    found = [scene(rng) for _ in range(count)]
    return np.array([image for image, _ in found]), [caption for _, caption in found]


def train(images=3000, epochs=10, seed=0):
    """A model, the share of new images whose caption is without a fault, and the seconds."""
    x, y = data(images, seed)
    model = rf.Captioner(hidden_size=96, embedding_dim=32, cell="gru", attention="additive", seed=seed)
    start = time.perf_counter()
    model.fit(regions(x), y, epochs=epochs, batch_size=32)
    seconds = time.perf_counter() - start
    more, captions = data(400, seed + 1000)
    return model, model.score(regions(more), captions, beam_size=3), seconds


def draw(model, path):
    """An image, and where the model looked."""
    from matplotlib.figure import Figure

    images, _ = data(1, 5)
    found = model.write(regions(images))[0][0]
    figure = Figure(figsize=(2.1 * (len(found.tokens) + 1), 2.6), layout="constrained")
    axes = figure.subplots(1, len(found.tokens) + 1)
    axes[0].imshow(images[0])
    axes[0].set_title("image")
    for each, word, looked in zip(axes[1:], found.tokens, found.alignment, strict=True):
        each.imshow(images[0] * 0.25 + 0.75 * np.kron(looked.reshape(6, 6) / looked.max(), np.ones((4, 4)))[..., None])
        each.set_title(word)
    for each in axes:
        each.set_axis_off()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw where it looked (PNG, SVG; needs matplotlib)")
    args = parser.parse_args()
    model, share, seconds = train(args.images, args.epochs, args.seed)
    print(f"captions without a fault: {share:.1%} of 400 new images; {seconds:.1f} s of training")
    images, captions = data(3, 6)
    for told, caption in zip(model.predict(regions(images)), captions, strict=True):
        print(f"{told}   ({'right' if told == caption else 'should be ' + caption})")
    if args.plot:
        draw(model, args.plot)
        print(f"wrote {args.plot}")


if __name__ == "__main__":
    main()
