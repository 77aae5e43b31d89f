"""The animation: the exact policies of both searches, moving over the landscape.

`python run_experiment.py --animate` writes it as search.gif."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import numpy as np
from matplotlib.animation import PillowWriter

from claims import window_means
from figures import draw_landscape, levels_of, palette, picture
from nas_benchmark import N_CELLS
from nas_reward import WINDOW
from nas_search import policies

AREA = 12_000  # in square points, of a dot whose cell has probability 1
FIRST_FRAMES = (0, 25, 50, 100, 175)  # samples; from then on, a frame per window
WHAT_MOVES = "dots: cells more probable than 1/15,625 (area: probability); cross: the mean"


def animate(path, runs):
    """A GIF of the exact policies of one search per reward, of the seed that ends as most do: a
    frame per window of 250 samples, and some more in the first."""
    problem = runs.problem
    samples = runs.rows["random"].shape[1]
    ends = sorted({*FIRST_FRAMES, *range(WINDOW, samples, WINDOW), samples})
    ends = ends[: ends.index(samples) + 1]
    seed = median_seed(runs)
    frames = list(policies(problem, seed, ends, runs.hyperparameters))
    names = list(problem.reward_tables)
    levels = levels_of(problem)
    benchmark = problem.benchmark
    colours = palette(names)
    writer = PillowWriter(fps=3)
    with picture(None, "", columns=len(names), margins=dict(bottom=0.19)) as [panels]:
        figure = panels[0].figure
        figure.supxlabel(WHAT_MOVES, y=0.03, fontsize=18)
        panels[0].set_ylabel("accuracy (%)")
        for axes, name in zip(panels, names, strict=True):
            draw_landscape(axes, problem, levels, name, colours[name])
        with writer.saving(figure, path, dpi=60):
            for k, drawn in enumerate(ends):
                title = f"The policies after {drawn:,} samples, on {benchmark.name}"
                figure.suptitle(title, y=0.97)
                artists = []
                for axes, name in zip(panels, names, strict=True):
                    history = [p[name] for p in frames[: k + 1]]
                    artists += draw_policy(axes, benchmark, history, colours[name])
                for _ in range(5 if drawn == samples else 1):  # a pause at the end
                    writer.grab_frame()
                for artist in artists:
                    artist.remove()


def draw_policy(axes, benchmark, history, colour):
    """The last policy of `history` (windows, 15625) as dots, and the means of all; the artists."""
    cells = np.array([benchmark.latency_ms, 100 * benchmark.accuracy])  # (2, 15625)
    means = cells @ np.transpose(history)  # (2, windows)
    p = history[-1]
    likely = p > 1 / N_CELLS  # than in random search; the other dots would be tiny
    area = AREA * p[likely]
    dots = axes.scatter(*cells[:, likely], area, color=colour, alpha=0.7, zorder=4)
    (trail,) = axes.plot(*means, color="black", lw=2, zorder=5)
    style = dict(color="black", mec="white", ms=18, zorder=5)
    (mean,) = axes.plot(*means[:, -1:], "X", **style)
    return dots, trail, mean


def median_seed(runs):
    """The seed whose searches end nearest to the median of all: accuracy and latency of the last
    window, each divided by its standard deviation over the seeds."""
    *searches, _ = runs.points().values()  # random search has no policy
    ends = np.array([window_means(column)[:, -1] for search in searches for column in search])
    scale = np.maximum(ends.std(axis=1, keepdims=True), 1e-12)
    away = (ends - np.median(ends, axis=1, keepdims=True)) / scale
    return runs.seeds[int(np.argmin((away**2).sum(axis=0)))]
