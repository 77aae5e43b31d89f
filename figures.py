"""Figures: the paper's Figs 2, 3, 6 and 7 from our runs, and pictures that explain them.

    python figures.py --from results         all pictures of a run again, without a search

    write_figures(folder, runs, results)     fig2, fig3, fig6, fig7, best, claims, landscape.png
    read_runs(folder)                        the Runs in a folder of results

`runs` are nas_search.Runs, `results` what claims.evaluate_claims says of them, `rewards` is {name:
function}. A reward has one colour everywhere, one of your own as well; random search is grey.
Pictures are 16:9 (wider or taller with three rewards or more), and no text is smaller than 1/40 of
their height, so that the back row can read them. Accuracy is plotted in percent, latency in ms.

Left out: pyplot. `Figure` needs no display, and starts faster. docs/drawings.py has the pictures
that need no run and the animation, docs/sliders.py a window with sliders."""

import contextlib
import csv
import gzip
import json
import sys
import warnings
from pathlib import Path

import command_line  # first: is Python new enough?  # isort: skip
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

import nas_benchmark
from claims import CLAIMS, evaluate_claims, window_means
from command_line import UserError, as_user_error, atomic_output
from nas_benchmark import CELLS, N_CELLS, cell_to_string
from nas_reward import PAIR, REWARDS, SLOPES, T_MS, WINDOW, reward_table
from nas_search import HYPERPARAMETERS, Problem, Runs, words_of

SIZE = (16, 9)  # inches, each 72 pt: 18 pt are 1/36 of the height
STYLE = {
    "font.size": 18,
    "axes.titlesize": 20,
    "figure.titlesize": 22,
    "lines.linewidth": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 100,
    "text.parse_math": False,  # "$" in the name of a benchmark is a dollar sign
}

# Okabe and Ito's colours, which colour-blind readers can tell apart; one per reward, in order.
COLOURS = ("#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
GREY = "#777777"  # random search
CELL_GREY = "#A6A6A6"  # any cell
FOR = ("#4A2377", "white")  # background and text of a verdict
AGAINST = ("#8A6A3F", "white")
OPEN = ("none", "black")  # all other verdicts
VERDICTS = {"supported": FOR, "inside": FOR, "reversed": AGAINST, "outside": AGAINST}
BLANK = dict(fc="white", ec="none", pad=2)  # behind a text that stands on a line
DASHED = dict(color="black", ls="--", lw=2)  # the line of T, and of the best cell under it


def palette(names):
    """{reward: colour} of these rewards, and of random search; your own get what is left."""
    others = dict.fromkeys([*REWARDS, *names]).keys() - PAIR
    order = [*PAIR, *sorted(others, key=[*REWARDS, *names].index)]
    colours = {name: COLOURS[order.index(name) % len(COLOURS)] for name in names}
    return colours | {"random": GREY}


def title_of(name):
    """What a reward, or random search, is called in pictures."""
    titles = {"mnasnet": "MnasNet reward", "random": "random search"}
    return titles.get(name, f"{name} reward" if name in REWARDS else name)


@contextlib.contextmanager
def picture(path, title, rows=1, columns=1, size=SIZE, margins=(), sharey="row", **shared):
    """Panels (rows, columns) to draw on in our style, under `title`; written to `path` at the end,
    unless that is None."""
    usual = dict(left=0.08, right=0.97, top=0.85, bottom=0.11, wspace=0.08)
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # whatever the user's own settings are
        matplotlib.rcParams.update(STYLE)
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a letter without one is a box
        figure = Figure(figsize=size)
        figure.suptitle(title, y=0.97)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=sharey, **shared)
        figure.subplots_adjust(**usual | dict(margins))
        yield panels
        if path:
            figure.savefig(path)


def write_figures(folder, runs, results):
    """All pictures of one run, into `folder`."""
    problem = runs.problem
    fig2(folder / "fig2.png", problem.rewards, problem.target_ms)
    fig3(folder / "fig3.png", problem.rewards, problem.target_ms)
    fig6(folder / "fig6.png", runs, results)
    fig7(folder / "fig7.png", runs, results)
    best(folder / "best.png", runs)
    claims_picture(folder / "claims.png", results, source(runs))
    landscape(folder / "landscape.png", runs)


def source(runs):
    """What a picture was made of: the benchmark, and hyperparameters that are not the defaults."""
    found = runs.hyperparameters.items()
    changed = {name: value for name, value in found if HYPERPARAMETERS[name] != value}
    return ", ".join([runs.problem.benchmark.name, *filter(None, [words_of(changed)])])


def mark_target_upright(axes, target_ms, at=0.96):
    """A dashed line up the panel at LAT = T, named at the height `at` (0..1)."""
    axes.axvline(target_ms, **DASHED)
    # annotation_clip: no name where T is far beyond the panel
    style = dict(va="center", zorder=3, bbox=BLANK, annotation_clip=True)
    where = axes.get_xaxis_transform()
    axes.annotate(f" T = {target_ms:.4g} ms", (target_ms, at), xycoords=where, **style)


# --- Figs 2 and 3: the rewards against latency ------------------------------------------------

CURVE_MS = np.linspace(1, 30, 500)  # latencies of a curve, at T = 17 ms


def along(reward, accuracy, ms, target_ms):
    """R (n,) along a curve; NaN (not plotted) if a reward of one's own fails off the cells."""
    try:
        return reward_table("", reward, accuracy, ms, target_ms)
    except UserError:
        return np.full(ms.shape, np.nan)


def fig2(path, rewards, target_ms=T_MS):
    """Fig. 2: a panel per reward, with f and its derivative f' against latency."""
    colours = palette(rewards)
    ms = CURVE_MS / T_MS * target_ms
    accuracy = np.full_like(ms, 0.5)
    title = "Fig. 2: rewards f and their slopes f' = df/dLAT, at an accuracy of 50%"
    margins = dict(right=0.9, bottom=0.2, wspace=0.1)
    with picture(path, title, columns=len(rewards), margins=margins) as [panels]:
        figure = panels[0].figure
        right_axes = [axes.twinx() for axes in panels]
        for axes, right, name in zip(panels, right_axes, rewards, strict=True):
            reward = rewards[name]
            f = along(reward, accuracy, ms, target_ms)
            df = np.gradient(f, ms)
            if reward in SLOPES:
                df = SLOPES[reward](accuracy, ms, target_ms)
            axes.plot(ms, f, color=colours[name])
            right.plot(ms, df, ":", color=colours[name])
            right.sharey(right_axes[0])
            right.spines["right"].set_visible(True)
            right.tick_params(labelright=right is right_axes[-1])
            axes.set_title(title_of(name), color=colours[name])
            axes.set(xlabel="latency (ms)", ymargin=0.15)
            mark_target_upright(axes, target_ms)
            mark_directions(axes, target_ms)
        panels[0].set_ylabel("reward f")
        right_axes[-1].set_ylabel("slope f', per ms")
        solid = Line2D([], [], color="black", label="reward f, at the left")
        dotted = Line2D([], [], ls=":", color="black", label="slope f', at the right")
        figure.legend(handles=[solid, dotted], loc="lower center", ncols=2)


def mark_directions(axes, target_ms):
    """The paper's arrows: A points to faster networks, B to slower ones."""
    where = ("data", "axes fraction")
    arrow = dict(arrowstyle="->", lw=2.5)
    for text, start, end, side in (
        ("A: faster", 0.95, 0.65, "right"),
        ("B: slower", 1.05, 1.35, "left"),
    ):
        tail = (start * target_ms, 0.05)
        axes.annotate("", (end * target_ms, 0.05), tail, where, arrowprops=arrow)
        axes.annotate(text, (start * target_ms, 0.07), xycoords=where, ha=side)


def fig3(path, rewards, target_ms=T_MS):
    """Fig. 3: all rewards against latency, in one plot."""
    colours = palette(rewards)
    ms = CURVE_MS / T_MS * target_ms
    accuracy = np.full_like(ms, 0.5)
    ends = {}
    title = "Fig. 3: the rewards against latency, at an accuracy of 50%"
    with picture(path, title, margins=dict(right=0.80)) as [[axes]]:
        for name, reward in rewards.items():
            R = along(reward, accuracy, ms, target_ms)
            axes.plot(ms, R, color=colours[name])
            if np.isfinite(R[-1]):
                ends[name] = R[-1]
        axes.set(xlabel="latency (ms)", ylabel="reward", xlim=(0, ms[-1]))
        apart = 0.06 * np.ptp(axes.get_ylim())
        y = -np.inf
        for name in sorted(ends, key=ends.get):  # each name at the end of its line
            y = max(ends[name], y + apart)
            style = dict(color=colours[name], va="center", annotation_clip=False)
            axes.annotate(f" {title_of(name)}", (ms[-1], y), **style)
        mark_target_upright(axes, target_ms)


# --- Fig. 6: how many samples of each accuracy and latency ------------------------------------

MAX_BINS = 22  # of latency, that can be read
BANDS = {"fig6_50_60": 50, "fig6_60_70": 60}  # claim -> the lower edge of its box, in %


def fig6(path, runs, results):
    """Fig. 6: samples per run, by latency and accuracy; all panels share one scale. A bin holds
    latencies of one floor(ms): 16 means 16.00 to 16.99. The boxes are the paper's counts."""
    problem = runs.problem
    colours = palette(problem.reward_tables)
    counts, ms_edges, percent_edges = count_networks(runs)
    most = max(table.max() for table in counts.values())
    bottom = ms_edges[0]
    boxes = paper_boxes(results)
    title = f"Fig. 6: samples per run, mean of {len(runs.seeds)}; below the boxes: samples under T"
    title += f"\non {source(runs)}"
    margins = dict(top=0.82, bottom=0.21, wspace=0.05)
    size = (max(16, 5.3 * len(counts)), 9)  # five columns in each panel want room
    with picture(path, title, 1, len(counts), size, margins) as [panels]:
        for axes, (name, table) in zip(panels, counts.items(), strict=True):
            draw_counts(axes, table, most, ms_edges, percent_edges)
            for low, (paper, ours) in boxes.get(name, {}).items():
                x = (low, low, low + 10, low + 10, low)
                y = (bottom, problem.target_ms, problem.target_ms, bottom, bottom)
                axes.plot(x, y, color=colours[name], lw=4, clip_on=False, zorder=3)
                write_below(axes, low + 5, paper, ours, colours[name])
            axes.set_title(title_of(name), color=colours[name])
            bins = [f"{low}-{low + 10}" for low in percent_edges[1:-1]]
            axes.set_xticks(percent_edges[:-1] + 5, [f"<{percent_edges[1]}", *bins])
            axes.tick_params(length=0)
            axes.axhline(problem.target_ms, **DASHED)
        panels[0].set_yticks(centres(ms_edges), ms_labels(ms_edges))
        panels[0].set_ylabel("latency (ms)")
        write_below(panels[0], percent_edges[0], "paper ", "ours ", "black", ha="right")
        panels[0].figure.supxlabel("accuracy (%)", y=0.03, fontsize=18)


def count_networks(runs):
    """({reward or "random": networks per run, in bins}, the bins' edges in ms, and in %).

    Five bins of 10 points; the first one holds all lower accuracies too."""
    table = runs.problem.benchmark
    top = 10 * int(np.ceil(10 * table.accuracy.max()))
    percent_edges = np.arange(top - 50, top + 1, 10)
    accuracy = np.maximum(table.accuracy, percent_edges[0] / 100)
    lowest = np.floor(table.latency_ms.min())
    width = table.latency_ms.max() - lowest
    step = max(1, int(np.ceil(width / MAX_BINS)))
    ms_edges = lowest + step * np.arange(width // step + 2)
    counts = {}
    for name, rows in runs.rows.items():
        per_cell = np.bincount(rows.ravel(), minlength=N_CELLS) / len(rows)
        bins = (ms_edges, percent_edges / 100)
        counts[name], *_ = np.histogram2d(table.latency_ms, accuracy, bins, weights=per_cell)
    return counts, ms_edges, percent_edges


def paper_boxes(results):
    """{reward or "random": {low: (the paper's count, the median of ours)}}, both as text."""
    boxes = {}
    for e in results:
        low = BANDS.get(e["id"])
        if low and e["reward"]:
            paper = "-" if e["paper"] is None else f"{e['paper']:,}"
            boxes.setdefault(e["reward"], {})[low] = (paper, f"{e['median']:,.4g}")
            boxes.setdefault("random", {})[low] = ("-", f"{e['random']:,.4g}")
    return boxes


def draw_counts(axes, table, most, ms_edges, percent_edges):
    """Shade the boxes by the square root of their counts, and write the counts on them."""
    shade = np.sqrt(table)
    darkest = np.sqrt(most)
    axes.pcolormesh(percent_edges, ms_edges, shade, cmap="Greys", vmin=0, vmax=darkest)
    ms = centres(ms_edges)
    percent = centres(percent_edges)
    for i, k in zip(*np.nonzero(np.round(table)), strict=True):
        ink = "white" if shade[i, k] > 0.5 * darkest else "black"
        count = f"{table[i, k]:,.0f}"
        axes.text(percent[k], ms[i], count, color=ink, ha="center", va="center")


def write_below(axes, x, paper, ours, colour, ha="center"):
    """Two numbers below the bins at x."""
    below = axes.get_xaxis_transform()
    for text, y in ((paper, -0.09), (ours, -0.15)):
        axes.text(x, y, text, transform=below, color=colour, ha=ha, va="top", weight="bold")


def centres(edges):
    return (edges[:-1] + edges[1:]) / 2


def ms_labels(edges):
    """16 for 16.00 to 16.99; 16-17 where a bin holds two."""
    pairs = zip(edges[:-1].astype(int), edges[1:].astype(int) - 1, strict=True)
    return [f"{low}-{high}" if high > low else str(low) for low, high in pairs]


# --- Fig. 7, and the best cell so far: as the search goes on ----------------------------------


def fig7(path, runs, results):
    """Fig. 7: mean accuracy and latency of each window of 250 networks.

    A window is plotted as a step from its first sample to its last; a triangle on the line of T is
    where the paper says that a reward's mean stays under it."""
    problem = runs.problem
    colours = palette(problem.reward_tables)
    seeds, samples = runs.rows["random"].shape
    edges = np.minimum(WINDOW * np.arange(np.ceil(samples / WINDOW) + 1), samples)
    title = f"Fig. 7: means of windows of {WINDOW} samples, median of {seeds} runs,"
    title += f"\non {source(runs)}"
    margins = dict(top=0.83, bottom=0.21, wspace=0.16)
    with picture(path, title, columns=2, margins=margins, sharey=False) as [[left, right]]:
        for name, (accuracy, latency_ms) in runs.points().items():
            draw_windows(left, edges, 100 * window_means(accuracy), colours[name], name)
            draw_windows(right, edges, window_means(latency_ms), colours[name], name)
        right.axhline(problem.target_ms, **DASHED)
        for e in results:
            if e["reward"] in PAIR and e["id"] == "fig7_stays_under":
                label = f"the paper: {e['reward']} stays under T from {e['paper']:,}"
                style = dict(ms=18, color=colours[e["reward"]], mec="black")
                right.plot(e["paper"], problem.target_ms, "v", label=label, **style)
        left.set_title("mean accuracy (%)")
        right.set_title(f"mean latency (ms), dashed: T = {problem.target_ms:.4g} ms")
        for axes in (left, right):
            axes.set(xlabel="samples", xlim=(0, samples))
            axes.xaxis.set_major_formatter("{x:,.0f}")
        handles, _ = right.get_legend_handles_labels()
        handles.insert(len(runs.rows), Patch(color=GREY, alpha=0.3, label="10% to 90% of runs"))
        left.figure.legend(handles=handles, loc="lower center", ncols=3)


def draw_windows(axes, edges, means, colour, name):
    """The median over runs as steps, and a band from the 10 % to the 90 % quantile.

    edges (windows + 1,) in networks, means (seeds, windows)."""
    low, median, high = np.quantile(means, [0.1, 0.5, 0.9], axis=0)  # (windows,) each
    axes.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.2)
    axes.stairs(median, edges, baseline=None, color=colour, lw=3.5, label=title_of(name))


def best(path, runs):
    """The best accuracy under T so far, against samples: median and band, and the best of all."""
    colours = palette(runs.problem.reward_tables)
    seeds, samples = runs.rows["random"].shape
    optimum = runs.problem.optima()["best_under_T"]
    after = np.arange(1, samples + 1)
    title = f"Best accuracy under T so far, median of {seeds} runs,\non {source(runs)}"
    margins = dict(top=0.83, bottom=0.21)
    lowest = []
    with picture(path, title, margins=margins) as [[axes]]:
        for name in runs.rows:
            percent = 100 * runs.best_so_far(name)  # (seeds, samples)
            low, median, high = np.quantile(percent, [0.1, 0.5, 0.9], axis=0)
            axes.fill_between(after, low, high, color=colours[name], alpha=0.2, lw=0)
            axes.plot(after, median, color=colours[name], label=title_of(name))
            lowest.append(median[min(50, samples) - 1])
        if optimum:
            highest = 100 * optimum["accuracy"]
            best_of_all = f"best cell under T: {highest:.2f}%"
            axes.axhline(highest, label=best_of_all, **DASHED)
            axes.set_ylim(min(lowest) - 1, highest + 0.3)
        axes.set(xlabel="samples (logarithmic)", ylabel="accuracy (%)", xscale="log")
        axes.set_xlim(min(10, samples), samples + 1)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        handles, _ = axes.get_legend_handles_labels()
        handles.append(Patch(color=GREY, alpha=0.3, label="10% to 90% of runs"))
        axes.figure.legend(handles=handles, loc="lower center", ncols=3)


# --- The paper's claims and our runs ----------------------------------------------------------

MARKS = {  # what it means: how it is drawn
    "the paper": dict(marker="D", mfc="none", mew=2.5, ms=12, color="black"),
    "median of ours": dict(marker="o", ms=12),
    "at least that": dict(marker=">", ms=12),
    "at most that": dict(marker="<", ms=12),
    "95% of ours": dict(ls="-", lw=8, alpha=0.4),
    "random search": dict(marker="x", ms=11, mew=3, color=GREY),
}
GROUPS = {claim.id: claim.group for claim in CLAIMS}
MEDIANS = {"": "median of ours", ">=": "at least that", "<=": "at most that"}  # by `censoring`
IN_LEGEND = [mark for mark in MARKS if mark != "at most that"]


def claims_picture(path, results, source):
    """The claims, a row each; those of a group share an axis."""
    colours = palette([e["reward"] for e in results if e["reward"]]) | {None: "black"}
    groups = {}
    for e in results:
        groups.setdefault(GROUPS[e["id"]], []).append(e)
    sizes = [len(group) + 0.5 for group in groups.values()]
    size = (16, max(9, 3.4 + 0.29 * len(results)))
    longest = max(len(e["text"]) for e in results)
    left = 0.02 + 0.0085 * longest  # a letter takes less than 1/117 of the width
    margins = dict(left=left, right=0.86, top=0.89, bottom=0.12, hspace=0.42)
    runs = len(results[0]["per_seed"])
    title = f"The paper's claims and {runs} runs of ours, on {source}"
    ratios = dict(height_ratios=sizes)
    with picture(path, title, len(groups), 1, size, margins, gridspec_kw=ratios) as panels:
        for [axes], (heading, group) in zip(panels, groups.items(), strict=True):
            axes.axvline(0, color="black", lw=1)
            for y, e in enumerate(group):
                draw_claim(axes, y, e, colours[e["reward"]])
            axes.set_yticks(range(len(group)), [e["text"] for e in group])
            for label, e in zip(axes.get_yticklabels(), group, strict=True):
                label.set_color(colours[e["reward"]])
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(len(group) - 0.5, -0.5)
            axes.set_title(heading, loc="left", fontsize=18)
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.spines["left"].set_visible(False)
        usual = dict(color="black", ls="none")
        handles = [Line2D([], [], label=mark, **usual | MARKS[mark]) for mark in IN_LEGEND]
        axes.figure.legend(handles=handles, loc="lower center", ncols=5)


def draw_claim(axes, y, e, colour):
    """One row: 95 % range and median of our runs, the paper's number, the verdict."""

    def draw(mark, x):
        """Draw a mark at x, or a line along x."""
        axes.plot(x, np.full(np.size(x), y), **dict(color=colour) | MARKS[mark])

    if e["median"] is not None:
        draw("95% of ours", np.quantile(e["per_seed"], [0.025, 0.975]))
        each = np.full(len(e["per_seed"]), y)
        axes.plot(e["per_seed"], each, "|", color=colour, ms=14, mew=1)
        draw(MEDIANS[e["censoring"]], e["median"])
    if e["random"] is not None:
        draw("random search", e["random"])
    if e["paper"] is not None:
        draw("the paper", e["paper"])
    background, ink = VERDICTS.get(e["verdict"], OPEN)
    verdict = e["verdict"].replace("no claim", "")
    box = dict(boxstyle="round,pad=0.15", fc=background, ec=background)
    style = dict(transform=axes.get_yaxis_transform(), va="center_baseline", bbox=box)
    axes.text(1.02, y, verdict, color=ink, **style)


# --- The landscape ----------------------------------------------------------------------------

HIDDEN_SHARE = 0.25  # this share of cells, the least accurate, lies below the pictures


def draw_cells(axes, benchmark):
    """All cells as dots, and the Pareto front; returns both lines."""
    accuracy = 100 * benchmark.accuracy
    front = pareto_front(benchmark)
    (cells,) = axes.plot(benchmark.latency_ms, accuracy, "o", ms=3, mew=0, color=CELL_GREY)
    style = dict(drawstyle="steps-post", color="black", lw=1.5, label="Pareto front")
    (steps,) = axes.plot(benchmark.latency_ms[front], accuracy[front], **style)
    return cells, steps


def pareto_front(benchmark):
    """Rows (n,) of the cells that no cell beats in both accuracy and latency, fastest first."""
    order = np.lexsort((-benchmark.accuracy, benchmark.latency_ms))
    best_so_far = np.maximum.accumulate(benchmark.accuracy[order])
    better = np.diff(best_so_far, prepend=0) > 0
    return order[better]


def limits(benchmark):
    """(latency, accuracy) limits, ms and %, that show all but the least accurate cells."""
    lowest = np.quantile(benchmark.accuracy, HIDDEN_SHARE)
    ms = benchmark.latency_ms[benchmark.accuracy >= lowest]
    width = max(np.ptp(ms), 0.01 * ms.max())  # where all cells are equally fast
    x = (max(ms.min() - 0.13 * width, 0.5 * ms.min()), ms.max() + 0.03 * width)
    y = (100 * lowest, 100 * benchmark.accuracy.max() + 1)
    return x, y


def draw_landscape(axes, problem, levels, name, colour, best_cell=True):
    """Cells, T, one reward's curves of equal reward; and its best cell, unless that is a secret."""
    draw_cells(axes, problem.benchmark)
    x, y = limits(problem.benchmark)
    ms, percent, R = reward_on_grid(problem, name)
    axes.contour(ms, percent, R, levels, colors=colour, linewidths=1.5)
    if best_cell:
        best = problem.reward_tables[name].max()
        axes.contour(ms, percent, R, [best], colors=colour, linewidths=4.5)
        row = np.argmax(problem.reward_tables[name])
        place = (problem.benchmark.latency_ms[row], 100 * problem.benchmark.accuracy[row])
        style = dict(ms=32, color=colour, mec="black", mew=1.5, zorder=4)
        axes.plot(
            *place, "*", label="cell of highest reward; thick curve: the same reward", **style
        )
    beside = dict(xytext=(8, 0), textcoords="offset points", va="center")
    for level in levels:
        if R[0, 0] < level < R[-1, 0]:  # write it where its line begins
            at = (ms[0], np.interp(level, R[:, 0], percent))
            axes.annotate(f"{level:.2f}", at, color=colour, bbox=BLANK, **beside)
    mark_target_upright(axes, problem.target_ms, at=0.04)
    axes.set_title(title_of(name), color=colour)
    axes.set(xlim=x, ylim=y, xlabel="latency (ms)")


def reward_on_grid(problem, name):
    """R over the landscape: ms (120,), percent (120,), R (percent, ms); NaN as in `along`."""
    (left, right), (low, high) = limits(problem.benchmark)
    ms = np.linspace(left, right, 120)
    percent = np.linspace(low, min(high, 100), 120)
    all_ms, all_percent = np.meshgrid(ms, percent)
    reward = problem.rewards[name]
    R = along(reward, all_percent.ravel() / 100, all_ms.ravel(), problem.target_ms)
    return ms, percent, R.reshape(all_ms.shape)


def levels_of(problem):
    """Rewards whose lines are drawn, the same for all rewards, so that panels compare."""
    accuracy = problem.benchmark.accuracy
    seen = accuracy >= np.quantile(accuracy, HIDDEN_SHARE)
    R = [table[seen] for table in problem.reward_tables.values()]
    return MaxNLocator(12, steps=[1, 2, 5, 10]).tick_values(np.min(R), np.max(R))


def mark_fixed_point(axes, end, colour):
    """A hollow star where a search of unlimited length goes: mean latency and accuracy."""
    place = (end["latency_ms"], 100 * end["accuracy"])
    style = dict(ms=32, mfc="white", mec=colour, mew=3, zorder=4, ls="none")
    axes.plot(*place, "*", label="fixed point: where an unlimited search goes", **style)


def landscape(path, runs):
    """All cells, and per reward: lines of equal reward, its optimum, where its searches ended."""
    problem = runs.problem
    colours = palette(problem.reward_tables)
    points = runs.points()
    levels = levels_of(problem)
    title = f"All cells, and curves of equal reward,\non {source(runs)}"
    fixed = problem.fixed_points(runs.hyperparameters["entropy_weight"])
    margins = dict(top=0.82, bottom=0.24)
    columns = len(problem.reward_tables)
    with picture(path, title, columns=columns, margins=margins) as [panels]:
        for axes, name in zip(panels, problem.reward_tables, strict=True):
            draw_landscape(axes, problem, levels, name, colours[name])
            accuracy, latency_ms = points[name]
            ms = window_means(latency_ms)[:, -1]
            percent = 100 * window_means(accuracy)[:, -1]
            label = f"where a search ends: mean of its last {WINDOW}"
            axes.plot(ms, percent, "o", ms=11, color=colours[name], mec="white", label=label)
            if name in fixed:
                mark_fixed_point(axes, fixed[name], colours[name])
        panels[0].set_ylabel("accuracy (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(handles, labels, loc="lower center", ncols=2)


def read_runs(folder):
    """The Runs in a folder of results: samples.csv.gz and summary.json. Raises UserError."""
    with as_user_error(folder, "folder of results", "make it with run_experiment.py"):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        settings = summary["settings"]
        benchmark = nas_benchmark.load(settings["benchmark"])
        if benchmark.provenance != summary["benchmark"]:
            raise ValueError(f"its benchmark {summary['benchmark']['name']} is not there any more")
        problem = Problem(benchmark, settings["rewards"], settings["target_ms"])
        row_of = {cell_to_string(cell): row for row, cell in enumerate(CELLS)}
        rows = {}
        with gzip.open(folder / "samples.csv.gz", "rt", newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                rows.setdefault(line["reward"], []).append(row_of[line["arch"]])
        shape = (settings["seeds"], settings["samples"])
        rows = {name: np.reshape(of_all, shape) for name, of_all in rows.items()}
        seeds = [settings["first_seed"] + k for k in range(settings["seeds"])]
        return Runs(problem, seeds, rows, {}, {}, settings["hyperparameters"])


def main(argv):
    """The command: draws all pictures of a folder of results again. Raises UserError."""
    parser = command_line.Parser(description="Draw the pictures of a run again: no search.")
    add = parser.add_argument
    written = "a folder that run_experiment.py has written"
    add("--from", dest="folder", type=Path, required=True, metavar="DIR", help=written)
    add("--out", type=Path, metavar="DIR", help="folder for the pictures (default: the same)")
    args = parser.parse_args(argv)
    runs = read_runs(args.folder)
    out = args.out or args.folder
    with atomic_output(out) as folder:
        write_figures(folder, runs, evaluate_claims(runs.points(), runs.problem.target_ms))
    print(f"pictures in {out}/")


if __name__ == "__main__":
    sys.exit(command_line.run(main, sys.argv[1:]))
