"""What people look at: the paper's Figs 2, 3, 6 and 7, drawn from our runs, and what explains them.

    python figures.py [--benchmark PATH]     a window with sliders for T, w and y

    write_figures(folder, runs, entries)     fig2, fig3, fig6, fig7, claims and landscape.png
    animate(path, problem, seed, ...)        search.gif: the policies move over the landscape
    write_drawings(folder)                   cell, loop, slopes and table1.png, which need no run

A reward has one colour everywhere, one of your own as well; random search is grey, and verdicts
have colours that belong to no reward. All pictures are 16:9, and no text is smaller than 1/40 of
their height, so that the back row can read them. Accuracy is drawn in percent.

    runs      nas_search.Runs
    entries   what claims.ledger says of them: a list of dicts
    rewards   {name: function(accuracy (n,), latency_ms (n,), target_ms) -> R (n,)}
    colours   {reward or "random": its colour}
    ms        latencies in ms, of a curve or of cells

Left out: pyplot, but for the window. `Figure` needs no display, and starts faster."""

import contextlib
import re
import sys

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

import nas_benchmark
from claims import PAIR, SAMPLES, WINDOW, window_means
from command_line import Parser, UserError, run
from nas_benchmark import EDGES, N_CELLS, OPERATIONS, cell_to_row
from nas_reward import (
    ALPHA,
    COMPARED,
    REWARDS,
    T_MS,
    TABLE_1,
    Y,
    mnasnet,
    mnasnet_slope,
    proposed,
    proposed_slope,
)
from nas_search import HYPERPARAMETERS, policies

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
}

# Okabe and Ito's colours, which colour-blind readers can tell apart; one per reward, in order.
COLOURS = ("#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
GREY = "#777777"  # random search
CELL_GREY = "#B8B8B8"  # a cell that nobody has drawn
VERDICTS = {  # (background, text)
    "holds": ("#4A2377", "white"),
    "compatible": ("#4A2377", "white"),
    "opposite": ("#5C3A1E", "white"),
    "incompatible": ("#5C3A1E", "white"),
}
OPEN = ("white", "black")  # all other verdicts


def palette(names):
    """{reward: colour} of these rewards, and of random search; your own get what is left."""
    own = [name for name in names if name not in REWARDS]
    order = [*REWARDS, *own]
    colours = {name: COLOURS[order.index(name) % len(COLOURS)] for name in names}
    return colours | {"random": GREY}


@contextlib.contextmanager
def picture(path, title, rows=1, columns=1, size=SIZE, margins=(), **shared):
    """Panels (rows, columns) to draw on; at the end they stand in `path`, under `title`."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        panels = figure.subplots(rows, columns, squeeze=False, **shared)
        usual = dict(left=0.08, right=0.97, top=0.85, bottom=0.11, wspace=0.08)
        figure.subplots_adjust(**usual | dict(margins))
        figure.suptitle(title, y=0.97)
        yield panels
        figure.savefig(path)


def write_figures(folder, runs, entries):
    """All pictures of one run, into `folder`."""
    rewards = runs.problem.rewards
    target_ms = runs.problem.target_ms
    fig2(folder / "fig2.png", rewards, target_ms)
    fig3(folder / "fig3.png", rewards, target_ms)
    fig6(folder / "fig6.png", runs, entries)
    fig7(folder / "fig7.png", runs, entries)
    claims_picture(folder / "claims.png", entries, runs.problem.benchmark.name)
    landscape(folder / "landscape.png", runs)


def write_drawings(folder):
    """The pictures that need no run, into `folder`."""
    draw_cell(folder / "cell.png")
    draw_loop(folder / "loop.png")
    slopes(folder / "slopes.png")
    table_1(folder / "table1.png")


# --- What all pictures share ------------------------------------------------------------------


def mark_target_upright(axes, target_ms):
    """A dashed line up the panel at LAT = T, named at its top."""
    axes.axvline(target_ms, color="black", ls="--", lw=2)
    across = axes.get_xaxis_transform()
    axes.text(target_ms, 1.0, f" T = {target_ms:.4g} ms", transform=across, va="top", clip_on=True)


def mark_target_across(axes, target_ms):
    """A dashed line across the panel at LAT = T."""
    axes.axhline(target_ms, color="black", ls="--", lw=2)


def label_ends(axes, x, ends, colours):
    """Write each name beside the end of its line, ends {name: y}; moved apart if they collide."""
    gap = 0.06 * np.ptp(axes.get_ylim())
    y = -np.inf
    for name in sorted(ends, key=ends.get):
        y = max(ends[name], y + gap)
        axes.annotate(f" {name}", (x, y), color=colours[name], va="center", annotation_clip=False)


# --- Figs 2 and 3: the rewards against latency ------------------------------------------------

SLOPES = {mnasnet: mnasnet_slope, proposed: proposed_slope}
CURVE_ACCURACY = 0.5  # of Figs 2 and 3


def curve_ms(target_ms):
    """Latencies (500,) to draw a reward at: from 1 to 30 ms at T = 17 ms."""
    return np.linspace(target_ms / 17, 30 / 17 * target_ms, 500)


def slope(reward, accuracy, ms, target_ms):
    """dR/dLAT per ms along a curve (n,): the formula, or differences if we have none."""
    if reward in SLOPES:
        return SLOPES[reward](accuracy, ms, target_ms)
    return np.gradient(reward(accuracy, ms, target_ms), ms)


def fig2(path, rewards, target_ms=T_MS):
    """Fig. 2: a panel per reward, with f and its derivative f' against latency."""
    colours = palette(rewards)
    ms = curve_ms(target_ms)
    accuracy = np.full_like(ms, CURVE_ACCURACY)
    title = "Fig. 2: rewards f and their slopes f', at accuracy 50 %"
    margins = dict(right=0.9, wspace=0.15)
    with picture(path, title, columns=len(rewards), margins=margins, sharey=True) as [panels]:
        right_axes = [axes.twinx() for axes in panels]
        for axes, right, name in zip(panels, right_axes, rewards, strict=True):
            reward = rewards[name]
            f = reward(accuracy, ms, target_ms)
            df = slope(reward, accuracy, ms, target_ms)
            (solid,) = axes.plot(ms, f, color=colours[name], label="f, left scale")
            (dotted,) = right.plot(ms, df, ":", color=colours[name], label="f', right scale")
            right.sharey(right_axes[0])
            right.spines["right"].set_visible(True)
            right.tick_params(labelright=right is right_axes[-1])
            axes.set_title(name, color=colours[name])
            axes.set_xlabel("latency (ms)")
            axes.legend(handles=[solid, dotted], loc="center", bbox_to_anchor=(0.5, 0.62))
            mark_target_upright(axes, target_ms)
            mark_directions(axes, target_ms)
        panels[0].set_ylabel("reward f")
        right_axes[-1].set_ylabel("slope f', per ms")


def mark_directions(axes, target_ms):
    """The paper's arrows: A points to faster networks, B to slower ones."""
    arrow = dict(arrowstyle="->", lw=2.5)
    where = ("data", "axes fraction")
    for text, start, end in (("A: faster", 0.9, 0.55), ("B: slower", 1.1, 1.45)):
        middle = (start + end) / 2 * target_ms
        axes.annotate(
            "",
            xy=(end * target_ms, 0.05),
            xytext=(start * target_ms, 0.05),
            xycoords=where,
            arrowprops=arrow,
        )
        axes.annotate(text, (middle, 0.07), xycoords=where, ha="center", va="bottom")


def fig3(path, rewards, target_ms=T_MS):
    """Fig. 3: all rewards against latency, in one plot."""
    colours = palette(rewards)
    ms = curve_ms(target_ms)
    accuracy = np.full_like(ms, CURVE_ACCURACY)
    ends = {}
    title = "Fig. 3: the rewards against latency, at accuracy 50 %"
    with picture(path, title, margins=dict(right=0.84)) as [[axes]]:
        for name, reward in rewards.items():
            R = reward(accuracy, ms, target_ms)
            axes.plot(ms, R, color=colours[name])
            ends[name] = R[-1]
        axes.set(xlabel="latency (ms)", ylabel="reward", xlim=(0, ms[-1]))
        label_ends(axes, ms[-1], ends, colours)
        mark_target_upright(axes, target_ms)


# --- What we add to them: slopes at other accuracies, and Table 1 as a picture ----------------


def slopes(path, target_ms=T_MS):
    """What one more millisecond costs under each reward, at two accuracies."""
    colours = palette(PAIR)
    ms = np.linspace(2, 1.5 * target_ms - 1, 400)
    title = "One more millisecond: MnasNet charges fast networks, the proposed reward slow ones"
    with picture(path, title) as [[axes]]:
        for accuracy, style in ((0.5, ":"), (0.7, "-")):
            for name, reward in COMPARED.items():
                cost = -1000 * slope(reward, accuracy, ms, target_ms)
                label = f"{name}, accuracy {accuracy:.0%}"
                if name == "proposed":
                    if accuracy != 0.7:
                        continue  # the same curve, for its slope does not depend on accuracy
                    label = f"{name}, any accuracy"
                axes.plot(ms, cost, style, color=colours[name], label=label)
        axes.set(xlabel="latency (ms)", ylabel="reward lost per ms (thousandths)")
        axes.set(xlim=(0, 1.5 * target_ms), ylim=(0, 20))
        axes.legend(loc="upper center")
        mark_target_upright(axes, target_ms)


def table_1(path):
    """Table 1's three pairs, joined by lines: where a line rises, the second network wins."""
    colours = palette(PAIR)
    title = "Table 1: where a line rises, the reward prefers the second network of the pair"
    with picture(path, title, columns=2, sharey=True) as [panels]:
        for axes, (name, reward) in zip(panels, COMPARED.items(), strict=True):
            for pair in TABLE_1:
                accuracy, ms = np.transpose(pair["networks"])
                R = reward(accuracy, ms)
                axes.plot(ms, R, "o-", ms=12, color=colours[name])
                label_pair(axes, pair, ms, R)
            axes.set_title(name, color=colours[name])
            axes.set(xlabel="latency (ms)", xmargin=0.12, ymargin=0.12)
        panels[0].set_ylabel("reward")


def label_pair(axes, pair, ms, R):
    """Name the two networks of a pair of Table 1: a1 and a2, with their accuracies."""
    below = pair["case"] == "c"  # c1 is the same network as a1
    for k, (accuracy, _) in enumerate(pair["networks"]):
        axes.annotate(
            f"{pair['case']}{k + 1}: {accuracy:.0%}",
            (ms[k], R[k]),
            xytext=(0, -14 if below else 14),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
        )


# --- Fig. 6: how many networks of each accuracy and latency -----------------------------------

MOST_ROWS = 22  # that can be read


def fig6(path, runs, entries):
    """Fig. 6: networks drawn per run, by latency and accuracy; all panels share one scale.

    A row holds latencies of one floor(ms): 16 means 16.00 to 16.99. The boxes are the paper's
    counts, at or under T."""
    problem = runs.problem
    colours = palette(problem.pay)
    counts, row_edges, column_edges = count_networks(runs)
    most = max(table.max() for table in counts.values())
    boxes = paper_boxes(entries)
    title = (
        f"Fig. 6: networks drawn, mean of {len(runs.seeds)} runs, on {problem.benchmark.name}\n"
        "below the boxes: networks at or under T, the paper's and the median of ours"
    )
    margins = dict(top=0.82, bottom=0.21, wspace=0.05)
    with picture(path, title, columns=len(counts), margins=margins, sharey=True) as [panels]:
        for axes, (name, table) in zip(panels, counts.items(), strict=True):
            draw_counts(axes, table, most, row_edges, column_edges)
            for low, (paper, ours) in boxes.get(name, {}).items():
                draw_box(axes, low, row_edges[0], problem.target_ms, colours[name])
                write_below(axes, low + 5, paper, ours, colours[name])
            axes.set_title(name, color=colours[name])
            axes.set_xticks(column_edges[:-1] + 5, column_labels(column_edges))
            axes.tick_params(length=0)
            mark_target_across(axes, problem.target_ms)
        panels[0].set_yticks(middles(row_edges), row_labels(row_edges))
        panels[0].set_ylabel("latency (ms)")
        write_below(panels[0], column_edges[0], "paper ", "ours ", "black", ha="right")
        panels[0].figure.supxlabel("accuracy (%)", y=0.02)


def count_networks(runs):
    """({reward or "random": networks per run (rows, columns)}, row edges in ms, column edges in %).

    Five columns of 10 points; the first one holds all lower accuracies too."""
    table = runs.problem.benchmark
    top = 10 * int(np.ceil(10 * table.accuracy.max()))
    column_edges = np.arange(top - 50, top + 1, 10)
    accuracy = np.maximum(table.accuracy, column_edges[0] / 100)
    lowest = np.floor(table.latency_ms.min())
    step = int(np.ceil((table.latency_ms.max() - lowest) / MOST_ROWS))
    row_edges = np.arange(lowest, table.latency_ms.max() + step, step)
    counts = {}
    for name, rows in runs.rows.items():
        per_cell = np.bincount(rows.ravel(), minlength=N_CELLS) / len(rows)
        counts[name] = np.histogram2d(
            table.latency_ms,
            accuracy,
            bins=(row_edges, column_edges / 100),
            weights=per_cell,
        )[0]
    return counts, row_edges, column_edges


def paper_boxes(entries):
    """{reward or "random": {low: (the paper's count, the median of ours)}}, both as text."""
    boxes = {}
    for e in entries:
        band = re.search(r"networks of (\d+)-\d+ % under T", e["claim"])
        if band and e["reward"]:
            low = int(band[1])
            paper = "-" if e["paper"] is None else f"{e['paper']:,}"
            boxes.setdefault(e["reward"], {})[low] = (paper, f"{e['ours']:,.0f}")
            boxes.setdefault("random", {})[low] = ("-", f"{e['random']:,.0f}")
    return boxes


def draw_counts(axes, table, most, row_edges, column_edges):
    """Shade the boxes by the square root of their counts, and write the counts on them."""
    shade = np.sqrt(table)
    axes.pcolormesh(column_edges, row_edges, shade, cmap="Greys", vmin=0, vmax=np.sqrt(most))
    rows = middles(row_edges)
    for row, column in zip(*np.nonzero(table >= 0.5), strict=True):
        axes.text(
            column_edges[column] + 5,
            rows[row],
            f"{table[row, column]:,.0f}",
            color="white" if shade[row, column] > 0.5 * np.sqrt(most) else "black",
            ha="center",
            va="center",
        )


def draw_box(axes, low, bottom, target_ms, colour):
    """Outline accuracies from `low` to low + 10, from the lowest row up to T."""
    right = low + 10
    x = (low, low, right, right, low)
    y = (bottom, target_ms, target_ms, bottom, bottom)
    axes.plot(x, y, color=colour, lw=4, clip_on=False, zorder=3)


def write_below(axes, x, paper, ours, colour, ha="center"):
    """Two numbers below the column at x."""
    below = axes.get_xaxis_transform()
    for text, y in ((paper, -0.09), (ours, -0.15)):
        axes.text(x, y, text, transform=below, color=colour, ha=ha, va="top", weight="bold")


def middles(edges):
    return (edges[:-1] + edges[1:]) / 2


def row_labels(edges):
    """16 for 16.00 to 16.99; 16-17 where a row holds two."""
    lows = edges[:-1].astype(int)
    highs = edges[1:].astype(int) - 1
    return [
        str(low) if low == high else f"{low}-{high}" for low, high in zip(lows, highs, strict=True)
    ]


def column_labels(edges):
    return [f"<{edges[1]}", *(f"{low}-{low + 10}" for low in edges[1:-1])]


# --- Fig. 7: as the search goes on ------------------------------------------------------------


def fig7(path, runs, entries):
    """Fig. 7: mean accuracy and latency of each window of 250 networks.

    A window is drawn as long as it is: a step from its first network to its last."""
    problem = runs.problem
    colours = palette(problem.pay)
    seeds, samples = runs.rows["random"].shape
    edges = np.minimum(WINDOW * np.arange(np.ceil(samples / WINDOW) + 1), samples)
    title = f"Fig. 7: windows of {WINDOW} networks, {seeds} runs, on {problem.benchmark.name}"
    margins = dict(top=0.83, bottom=0.21, wspace=0.16)
    with picture(path, title, columns=2, margins=margins) as [[left, right]]:
        for name, (accuracy, latency_ms) in runs.points().items():
            draw_windows(left, edges, 100 * window_means(accuracy), colours[name], name)
            draw_windows(right, edges, window_means(latency_ms), colours[name], name)
        mark_target_across(right, problem.target_ms)
        mark_settling(right, entries, problem.target_ms, colours)
        left.set_title("mean accuracy (%)")
        right.set_title(f"mean latency (ms), dashed: T = {problem.target_ms:.4g} ms")
        for axes in (left, right):
            axes.set(xlabel="networks drawn", xlim=(0, samples))
        handles, labels = right.get_legend_handles_labels()
        left.figure.legend(handles, labels, loc="lower center", ncols=4)


def draw_windows(axes, edges, means, colour, name):
    """The median over runs as steps, and a band from the 10 % to the 90 % quantile.

    edges (windows + 1,) in networks, means (seeds, windows)."""
    low, median, high = np.quantile(means, [0.1, 0.5, 0.9], axis=0)  # (windows,) each
    axes.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.2)
    axes.stairs(median, edges, baseline=None, color=colour, lw=3.5, label=name)


def mark_settling(axes, entries, target_ms, colours):
    """A triangle on the line of T where the paper says that a reward's mean stays under it."""
    for e in entries:
        if e["reward"] in PAIR and "settles at" in e["claim"]:
            axes.plot(
                e["paper"],
                target_ms,
                "v",
                ms=18,
                color=colours[e["reward"]],
                mec="black",
                label=f"paper: {e['reward']} settles, {e['paper']:,}",
            )


# --- The paper's claims beside ours -----------------------------------------------------------

MARKERS = {"": "o", ">=": ">", "<=": "<"}  # of a median, by what its bound is


def claims_picture(path, entries, source):
    """The claims, a row each; rows of the same unit share an axis."""
    colours = palette([e["reward"] for e in entries if e["reward"]]) | {None: "black"}
    groups = {}
    for e in entries:
        groups.setdefault(e["unit"], []).append(e)
    sizes = [len(group) + 0.5 for group in groups.values()]
    size = (16, max(9, 2.5 + 0.36 * len(entries)))
    margins = dict(left=0.33, right=0.86, top=0.87, bottom=0.07, hspace=0.25)
    title = f"The paper's claims, on {source}"
    ratios = dict(height_ratios=sizes)
    with picture(path, title, len(groups), 1, size, margins, gridspec_kw=ratios) as panels:
        for [axes], (unit, group) in zip(panels, groups.items(), strict=True):
            axes.axvline(0, color="black", lw=1)
            for y, e in enumerate(group):
                draw_claim(axes, y, e, colours[e["reward"]])
            axes.set_yticks(range(len(group)), [e["claim"] for e in group])
            for label, e in zip(axes.get_yticklabels(), group, strict=True):
                label.set_color(colours[e["reward"]])
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(len(group) - 0.5, -0.5)
            axes.set_title(unit, loc="right", fontsize=18)
            axes.spines["left"].set_visible(False)


def draw_claim(axes, y, e, colour):
    """One row: 95 % range and median of our runs, the paper's number, the verdict."""
    if e["ours"] is not None:
        axes.plot([e["low"], e["high"]], [y, y], color=colour, lw=8, alpha=0.4)
        axes.plot(e["ours"], y, MARKERS[e["bound"]], color=colour, ms=12)
    if e["paper"] is not None:
        axes.plot(e["paper"], y, "D", color="black", mfc="none", ms=12, mew=2.5)
    background, ink = VERDICTS.get(e["verdict"], OPEN)
    axes.text(
        1.02,
        y,
        e["verdict"],
        transform=axes.get_yaxis_transform(),
        color=ink,
        va="center",
        bbox=dict(boxstyle="round,pad=0.15", fc=background, ec=background),
    )


# --- The landscape ----------------------------------------------------------------------------

LEAST = 0.25  # this share of cells, the least accurate, lies below the pictures


def draw_cells(axes, benchmark):
    """All cells as dots, and the Pareto front; returns both lines."""
    accuracy = 100 * benchmark.accuracy
    front = pareto_front(benchmark)
    (cells,) = axes.plot(benchmark.latency_ms, accuracy, "o", ms=3, mew=0, color=CELL_GREY)
    (steps,) = axes.plot(
        benchmark.latency_ms[front],
        accuracy[front],
        drawstyle="steps-post",
        color="black",
        lw=1.5,
    )
    return cells, steps


def pareto_front(benchmark):
    """Rows (n,) of the cells that no cell beats in both accuracy and latency, fastest first."""
    order = np.lexsort((-benchmark.accuracy, benchmark.latency_ms))
    best_so_far = np.maximum.accumulate(benchmark.accuracy[order])
    better = np.diff(best_so_far, prepend=0) > 0
    return order[better]


def limits(benchmark):
    """(latency, accuracy) limits, ms and %, that show all but the least accurate cells."""
    lowest = np.quantile(benchmark.accuracy, LEAST)
    ms = benchmark.latency_ms[benchmark.accuracy >= lowest]
    margin = 0.03 * np.ptp(ms)
    x = (ms.min() - margin, ms.max() + margin)
    y = (100 * lowest, 100 * benchmark.accuracy.max() + 1)
    return x, y


def draw_landscape(axes, problem, levels, name, colour):
    """Cells, T, one reward's lines of equal reward, and its optimum."""
    draw_cells(axes, problem.benchmark)
    x, y = limits(problem.benchmark)
    ms, percent, R = reward_on_grid(problem, name)
    lines = axes.contour(ms, percent, R, levels, colors=colour, linewidths=2)
    axes.clabel(lines, fmt="%.2f", fontsize=17)
    mark_optimum(axes, problem, name, colour)
    mark_target_upright(axes, problem.target_ms)
    axes.set_title(name, color=colour)
    axes.set(xlim=x, ylim=y, xlabel="latency (ms)")


def reward_on_grid(problem, name):
    """(ms (60,), percent (60,), R (60, 60)): what a reward pays where the landscape is drawn."""
    (left, right), (low, high) = limits(problem.benchmark)
    ms = np.linspace(max(left, 0.01 * right), right, 60)
    percent = np.linspace(low, min(high, 100), 60)
    all_ms, all_percent = np.meshgrid(ms, percent)
    R = problem.rewards[name](all_percent.ravel() / 100, all_ms.ravel(), problem.target_ms)
    return ms, percent, R.reshape(all_ms.shape)


def levels_of(problem):
    """Rewards whose lines are drawn, the same for all rewards, so that panels compare."""
    grids = [reward_on_grid(problem, name)[2] for name in problem.rewards]
    return MaxNLocator(12).tick_values(min(map(np.min, grids)), max(map(np.max, grids)))


def mark_optimum(axes, problem, name, colour):
    """A star on the reward's best cell of all."""
    row = np.argmax(problem.pay[name])
    axes.plot(
        problem.benchmark.latency_ms[row],
        100 * problem.benchmark.accuracy[row],
        "*",
        ms=32,
        color=colour,
        mec="black",
        mew=1.5,
        zorder=4,
        label="the reward's best cell",
    )


def landscape(path, runs):
    """All cells, and per reward: lines of equal reward, its optimum, where its searches ended."""
    problem = runs.problem
    colours = palette(problem.pay)
    points = runs.points()
    levels = levels_of(problem)
    title = f"All cells, and lines of equal reward, on {problem.benchmark.name}"
    margins = dict(bottom=0.19)
    columns = len(problem.pay)
    with picture(path, title, columns=columns, margins=margins, sharey=True) as [panels]:
        for axes, name in zip(panels, problem.pay, strict=True):
            draw_landscape(axes, problem, levels, name, colours[name])
            accuracy, latency_ms = points[name]
            axes.plot(
                window_means(latency_ms)[:, -1],
                100 * window_means(accuracy)[:, -1],
                "o",
                ms=11,
                color=colours[name],
                mec="white",
                label=f"mean of a run's last {WINDOW} networks",
            )
        panels[0].set_ylabel("accuracy (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(handles, labels, loc="lower center", ncols=2)


def animate(path, problem, seed=0, samples=SAMPLES, hyperparameters=HYPERPARAMETERS):
    """A GIF of the exact policies of one search per reward: a frame per window of 250 networks.

    The area of a dot is its cell's probability; the cross is the policy's mean."""
    from matplotlib.animation import PillowWriter  # here, for it takes a while to import

    colours = palette(problem.pay)
    table = problem.benchmark
    levels = levels_of(problem)
    writer = PillowWriter(fps=3)
    columns = len(problem.pay)
    title = f"The policies of one search per reward, on {table.name}"
    drawn = picture(path, title, columns=columns, sharey=True)
    with drawn as [panels], writer.saving(panels[0].figure, path, dpi=60):
        dots = {}
        for axes, name in zip(panels, problem.pay, strict=True):
            draw_landscape(axes, problem, levels, name, colours[name])
            dots[name] = axes.scatter(
                table.latency_ms,
                100 * table.accuracy,
                color=colours[name],
                zorder=3,
            )
        panels[0].set_ylabel("accuracy (%)")
        for window, p in enumerate(policies(problem, seed, samples, hyperparameters), start=1):
            for name in problem.pay:
                dots[name].set_sizes(3000 * p[name])
            writer.grab_frame()


def draw_cell(path):
    pass


def draw_loop(path):
    pass


if __name__ == "__main__":
    sys.exit(0)
