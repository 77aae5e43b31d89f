"""The pictures that need no run: a cell, the loop of a search, slopes, Table 1; and the animation.

python docs/drawings.py        writes cell, loop, lstm, slopes, table1, update and vote.png

`python run_experiment.py --animate` writes search.gif: the policies, moving over the landscape."""

import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.patches import Circle, FancyBboxPatch

import nas_benchmark
from claims import window_means
from command_line import Parser, run
from controller_plain import LESSON, K, Reinforce, forward, teacher_forcing_noise
from figures import BLANK, GREY, draw_landscape, levels_of, palette, picture, title_of
from figures import mark_target_upright as mark_target
from nas_benchmark import EDGES, N_CELLS, OPERATIONS, SHORT, cell_to_row
from nas_reward import COMPARED, PAIR, SAMPLES, SLOPES, T_MS, TABLE_1, WINDOW
from nas_search import Problem, policies


def write_drawings(folder):
    """The pictures that need no run, into `folder`."""
    for draw in (cell, loop, lstm, slopes, table1, update, vote):
        draw(folder / f"{draw.__name__}.png")


def slopes(path):
    """What one more millisecond costs under each reward; under the proposed, at any accuracy."""
    ms = np.linspace(2, 1.5 * T_MS - 1, 400)
    colours = palette(PAIR)
    with picture(path, "Reward lost per extra millisecond") as [[axes]]:
        for name, accuracy, at, style in (
            ("mnasnet", 0.5, "accuracy 50%", ":"),
            ("mnasnet", 0.7, "accuracy 70%", "-"),
            ("proposed", 0.5, "any accuracy", "-"),
        ):
            cost = -SLOPES[COMPARED[name]](accuracy, ms)
            axes.plot(ms, 1000 * cost, style, color=colours[name], label=f"{name}, {at}")
        axes.set(xlabel="latency (ms)", ylabel="reward lost per ms (thousandths)")
        axes.set(xlim=(0, 1.5 * T_MS), ylim=(0, 20))
        axes.legend(loc="upper center")
        mark_target(axes, T_MS)


def table1(path):
    """Table 1's three pairs, joined by lines: where a line rises, the second network wins."""
    colours = palette(PAIR)
    title = "Table 1: where a line rises, the reward prefers the second network"
    with picture(path, title, columns=2) as [panels]:
        for axes, (name, reward) in zip(panels, COMPARED.items(), strict=True):
            for pair in TABLE_1:
                accuracy, ms = np.transpose(pair["networks"])
                R = reward(accuracy, ms)
                axes.plot(ms, R, "o-", ms=12, color=colours[name])
                label_pair(axes, pair["case"], accuracy, ms, R)
            axes.set_title(title_of(name), color=colours[name])
            axes.set(xlabel="latency (ms)", xlim=(2, 30), xticks=(8, 12, 16, 24))
        panels[0].set_ylabel("reward")


def label_pair(axes, case, accuracy, ms, R):
    """Name the two networks of a pair, the first at its left, the second at its right."""
    up = {"a": "bottom", "b": "center", "c": "top"}[case]  # a1 and c1 are the same
    for k, (offset, side) in enumerate(((-14, "right"), (14, "left"))):
        axes.annotate(
            f"{case}{k + 1}: {100 * accuracy[k]:.0f}%",
            (ms[k], R[k]),
            xytext=(offset, 0),
            textcoords="offset points",
            ha=side,
            va=up,
        )


EXAMPLE = (3, 1, 3, 0, 1, 3)  # the cell that nas_benchmark's docstring explains
NODES = np.array([(1.4, 4.2), (4.7, 6.7), (7.3, 1.7), (10.6, 4.2)])  # where they stand, in inches
NODE_COLOUR = "#CFE8F7"
BACK = "#D55E00"  # the way of the gradient


@contextlib.contextmanager
def drawing(path, title):
    """An empty sheet of 16 x 9 inches."""
    margins = dict(left=0, right=1, bottom=0, top=1)
    with picture(path, title, margins=margins) as [[axes]]:
        axes.set(xlim=(0, 16), ylim=(0, 9))
        axes.axis("off")
        yield axes


def write(axes, x, y, text, size=22, ha="center", **style):
    axes.text(x, y, text, fontsize=size, ha=ha, va="center", **style)


def arrow(axes, x1, y1, x2, y2, **style):
    usual = dict(arrowstyle="-|>", mutation_scale=30, lw=3, color="black")
    axes.annotate("", (x2, y2), (x1, y1), arrowprops=usual | style)


def box(axes, corner, width, height):
    style = dict(boxstyle="round", fc=NODE_COLOUR, lw=2)
    axes.add_patch(FancyBboxPatch(corner, width, height, **style))


def cell(path):
    """The cell 3 1 3 0 1 3: nodes, edges with their numbers, and the operations to choose from."""
    digits = " ".join(map(str, EXAMPLE))
    title = f"A cell: one of 5 operations on each of 6 edges. This one is {digits}"
    with drawing(path, title) as axes:
        for edge, (start, end) in enumerate(EDGES):
            cut = OPERATIONS[EXAMPLE[edge]] == "none"  # pale and dashed
            ink = GREY if cut else "black"
            style = dict(color=ink, ls="--" if cut else "-", shrinkA=48, shrinkB=48)
            arrow(axes, *NODES[start], *NODES[end], **style)
            at = 0.65 * NODES[start] + 0.35 * NODES[end]
            write(axes, *at, f"edge {edge}: {EXAMPLE[edge]}", color=ink, bbox=BLANK)
        for at, name in zip(NODES, ("0\nin", "1", "2", "3\nout"), strict=True):
            axes.add_patch(Circle(at, 0.62, fc=NODE_COLOUR, ec="black", lw=2, zorder=3))
            write(axes, *at, name, zorder=4)
        for k, operation in enumerate(OPERATIONS):
            axes.text(12.1, 6.0 - 0.8 * k, f"{k}  {operation}", fontsize=22)
        row = f"row {cell_to_row(EXAMPLE):,} of 15,625"
        axes.text(8, 0.4, f"{row}; a node is the sum of its incoming edges", ha="center")


def loop(path):
    """The loop of reinforcement learning: controller, benchmark, reward, and back."""
    update = "REINFORCE: cells that beat the\nbaseline become more probable"
    with drawing(path, f"One step of a search, done {SAMPLES:,} times") as axes:
        for x, y, name, text in (
            (3.2, 4.2, "controller", "an LSTM policy:\nsamples a cell"),
            (12.8, 6.2, "benchmark", f"a look-up table of\n{N_CELLS:,} cells"),
            (12.8, 2.2, "reward", "one number R from\nboth: Eq. 3 or 5"),
        ):
            box(axes, (x - 2, y - 0.95), 4, 1.9)
            write(axes, x, y + 0.75, name, 26, weight="bold")
            write(axes, x, y - 0.35, text)
        arrow(axes, 5.6, 4.9, 10.4, 6.2)
        write(axes, 7.6, 6.3, "a cell:\n6 operations")
        arrow(axes, 12.8, 4.9, 12.8, 3.5)
        write(axes, 14.2, 4.2, "accuracy,\nlatency")
        arrow(axes, 10.4, 2.2, 5.6, 3.5)
        write(axes, 7.2, 1.8, update)


def update(path):
    """How the second and the third update of the printed lesson change the first softmax."""
    problem = Problem(nas_benchmark.load(nas_benchmark.SURROGATE), PAIR, T_MS)
    R = problem.reward_tables["proposed"]
    search = Reinforce(seed=4, **LESSON)
    search.search(R, 1)
    title = "One update each: how p of the first edge changes (black: the sampled operation)"
    with picture(path, title, columns=2) as [panels]:
        for axes in panels:
            cell = search.sample()
            noise = teacher_forcing_noise(cell)
            before = forward(noise, **search.weights)["p"][0]
            search.learn(R[cell_to_row(cell)])
            change = 100 * (forward(noise, **search.weights)["p"][0] - before)
            axes.bar(SHORT, change, color=np.where(np.arange(K) == cell[0], "black", GREY))
            axes.axhline(0, color="black", lw=1)
            better = "better" if search.A > 0 else "worse"
            axes.set_title(f"A = {search.A:+.4f}: {better} than usual")
        panels[0].set_ylabel("change of p (percentage points)")


def vote(path):
    """Cells, T and the curves of equal reward: where will each search go? Without the answer."""
    problem = Problem(nas_benchmark.load(nas_benchmark.SURROGATE), PAIR, T_MS)
    levels = levels_of(problem)
    title = "Where will a search with each reward go?"
    with picture(path, title, columns=2) as [panels]:
        for axes, name in zip(panels, PAIR, strict=True):
            colour = palette(PAIR)[name]
            draw_landscape(axes, problem, levels, name, colour, best_cell=False)
        panels[0].set_ylabel("accuracy (%)")


def lstm(path):
    """Two steps of the LSTM: forward in black, and back, where c and h collect two gradients."""
    gates = "z = Wx[a] + h Wh + b\ni, f, o = sigmoid(z)\ng = tanh(z)"
    twice = "orange dots: c and h are used twice, so each collects two gradients"
    with drawing(path, "Two steps of the LSTM; orange: the gradient goes back") as axes:
        for x, t in ((1.4, "t"), (8.4, "t + 1")):
            middle = x + 2.1
            right = x + 4.9
            box(axes, (x, 1.7), 4.2, 2.1)
            write(axes, middle, 2.75, gates, 18)
            write(axes, middle, 0.9, f"step {t}")
            arrow(axes, middle, 3.9, middle, 6.3)
            write(axes, x + 1.9, 5.6, "+ i g", 20, "right")
            write(axes, x + 0.1, 6.85, "f c", 20)
            arrow(axes, x + 4.0, 6.3, right, 4.9)
            write(axes, x + 4.95, 5.55, "o tanh(c)", 18, "left")
            arrow(axes, right, 5.1, right, 7.9)
            write(axes, x + 5.1, 7.6, "logits = h Wo", 18, "left")
            for used_twice in ((x + 4.0, 6.4), (right, 4.9)):
                axes.add_patch(Circle(used_twice, 0.16, fc=BACK, zorder=4))
        arrow(axes, 0.6, 6.4, 15.8, 6.4)
        write(axes, 0.5, 6.4, "c", 24, "right")
        arrow(axes, 6.3, 4.9, 8.3, 3.3)
        write(axes, 7.6, 4.45, "h", 24, "left")
        arrow(axes, 15.8, 6.1, 0.6, 6.1, color=BACK, ls="--")
        axes.text(8.9, 5.5, "dc f", ha="center", color=BACK, fontsize=20)
        arrow(axes, 8.3, 2.85, 6.2, 4.55, color=BACK, ls="--")
        axes.text(6.95, 3.2, "Wh dz", ha="right", color=BACK, fontsize=20)
        write(axes, 8, 0.25, twice, 20, color=BACK)


# --- The animation ----------------------------------------------------------------------------

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


def main(argv):
    """The command: draws all of them."""
    Parser(description=(__doc__ or "").partition("\n")[0]).parse_args(argv)
    write_drawings(Path(__file__).parent)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
