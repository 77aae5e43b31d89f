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
    frame per window of 250 samples, and some more in the first.

    A dot is a cell that is more probable than in random search, and its area is its probability;
    the cross is the policy's mean."""
    problem = runs.problem
    samples = runs.rows["random"].shape[1]
    writer = PillowWriter(fps=3)
    colours = palette(problem.reward_tables)
    levels = levels_of(problem)
    history = {name: [] for name in problem.reward_tables}
    with (
        picture(None, "", columns=len(problem.reward_tables), margins=dict(bottom=0.19)) as [
            panels
        ],
        writer.saving(panels[0].figure, path, dpi=60),
    ):
        for axes, name in zip(panels, problem.reward_tables, strict=True):
            draw_landscape(axes, problem, levels, name, colours[name])
        panels[0].set_ylabel("accuracy (%)")
        panels[0].figure.supxlabel(WHAT_MOVES, y=0.03, fontsize=18)
        ends = sorted({*FIRST_FRAMES, *range(WINDOW, samples, WINDOW), samples})
        ends = [end for end in ends if end <= samples]
        frames = policies(problem, median_seed(runs), ends, runs.hyperparameters)
        for drawn, p in zip(ends, frames, strict=True):
            title = f"The policies after {drawn:,} samples, on {problem.benchmark.name}"
            panels[0].figure.suptitle(title, y=0.97)
            artists = []
            for axes, name in zip(panels, problem.reward_tables, strict=True):
                history[name].append(p[name])
                style = (history[name], colours[name])
                artists += draw_policy(axes, problem.benchmark, *style)
            for _ in range(5 if drawn == samples else 1):  # a pause at the end
                writer.grab_frame()
            for artist in artists:
                artist.remove()


def draw_policy(axes, benchmark, history, colour):
    """The last policy of `history` (windows, 15625) as dots, and the means of all; the artists."""
    p = history[-1]
    likely = p > 1 / N_CELLS  # than in random search; the other dots would be tiny
    ms = np.array(history) @ benchmark.latency_ms  # (windows,)
    percent = 100 * (np.array(history) @ benchmark.accuracy)  # (windows,)
    place = (benchmark.latency_ms[likely], 100 * benchmark.accuracy[likely])
    dots = axes.scatter(*place, AREA * p[likely], color=colour, alpha=0.7, zorder=4)
    (trail,) = axes.plot(ms, percent, color="black", lw=2, zorder=5)
    (mean,) = axes.plot(ms[-1], percent[-1], "X", color="black", mec="white", ms=18, zorder=5)
    return dots, trail, mean


def median_seed(runs):
    """The seed whose searches end nearest to the median of all: accuracy and latency of the last
    window, each divided by its standard deviation over the seeds."""
    ends = []
    for accuracy, latency_ms in runs.points().values():
        ends += [window_means(accuracy)[:, -1], window_means(latency_ms)[:, -1]]
    ends = np.array(ends[:-2])  # random search has no policy; (2 rewards, seeds)
    scale = np.maximum(ends.std(axis=1, keepdims=True), 1e-12)
    away = (ends - np.median(ends, axis=1, keepdims=True)) / scale
    return runs.seeds[int(np.argmin((away**2).sum(axis=0)))]
