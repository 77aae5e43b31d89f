"""What people look at: Figs 2, 3, 6 and 7 of the paper, drawn from our own runs, and the ledger.

Every function draws one picture and saves it as a PNG; none shows a window. Each reward has one
colour everywhere. The title names the benchmark, so that no picture travels without its source.

    name     meaning
    found    {reward: (accuracy, latency_ms)}, each (seeds, samples); accuracy in 0..1
    exact    {reward: (5, seeds, windows)}, expected under the policy; accuracy, latency_ms first

Left out: everything that is not in `samples.csv.gz` or `summary.json`; replot from those at will.
"""

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure  # without pyplot: no display, and a faster start

from claims import WINDOW, settles_at, window_means
from nas_reward import REWARDS, TABLE_1, mnasnet_slope, proposed_slope

# Okabe and Ito's colours, told apart by colour-blind readers as well.
COLOURS = {
    "mnasnet": "#D55E00",
    "proposed": "#0072B2",
    "mnasnet_hard": "#E69F00",
    "tunas": "#009E73",
    "random": "#777777",
}
SPARE_COLOURS = ("#CC79A7", "#56B4E9", "#000000")  # for rewards of your own
STYLE = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 2.5,
    "savefig.dpi": 110,
    "figure.constrained_layout.use": True,
}


def colour(reward):
    """The colour of a reward, the same in every figure."""
    extra = [name for name in REWARDS if name not in COLOURS]
    return COLOURS.get(reward) or SPARE_COLOURS[extra.index(reward) % len(SPARE_COLOURS)]


def fig2(path, target_ms):
    """Fig. 2: what one more millisecond costs, under each reward (slope of R by LAT)."""
    latency_ms = np.linspace(1, 1.5 * target_ms - 1, 400)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 5))
        axes = figure.subplots()
        for name, slope in (("mnasnet", mnasnet_slope), ("proposed", proposed_slope)):
            cost = -1000 * slope(0.7, latency_ms, target_ms)
            axes.plot(latency_ms, cost, color=colour(name), label=name)
        axes.set_ylim(0, 500 / target_ms)
        axes.set_xlim(0, 1.5 * target_ms)
        _mark_target(axes, target_ms)
        axes.set_xlabel("latency (ms)")
        axes.set_ylabel("reward lost per ms (thousandths)")
        axes.set_title(
            "Fig. 2: MnasNet's reward urges fast networks on, the proposed one slow ones"
        )
        axes.legend(frameon=False, title="accuracy 70 %")
        _save(figure, path)


def fig3(path, target_ms):
    """Fig. 3: both rewards against latency, for three accuracies, with Table 1's networks."""
    latency_ms = np.linspace(2, 1.75 * target_ms, 500)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 5.5))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, name in zip(panels, ("mnasnet", "proposed"), strict=True):
            for accuracy, style in ((0.6, ":"), (0.7, "--"), (0.8, "-")):
                reward = REWARDS[name](accuracy, latency_ms, target_ms)
                axes.plot(latency_ms, reward, style, color=colour(name))
                axes.annotate(f"{accuracy:.0%}", (latency_ms[-1], reward[-1]), va="center")
            for _, accuracy, ms, *_ in TABLE_1:
                axes.plot(ms, REWARDS[name](accuracy, ms, target_ms), "ko", ms=6)
            _mark_target(axes, target_ms)
            axes.set_xlabel("latency (ms)")
            axes.set_title(name)
        panels[0].set_ylabel("reward, for three accuracies")
        panels[0].plot([], [], "ko", label="networks of Table 1")
        panels[0].legend(frameon=False)
        figure.suptitle("Fig. 3: the two rewards against latency")
        _save(figure, path)


def fig6(path, found, target_ms, source):
    """Fig. 6: how many networks of each accuracy and latency a run draws (mean over seeds)."""
    drawn_acc, drawn_ms = (
        np.concatenate([c.ravel() for c in cs]) for cs in zip(*found.values(), strict=True)
    )
    edges_acc = np.arange(10 * np.floor(10 * drawn_acc.min()), 100 * drawn_acc.max() + 10, 10)  # %
    step = max(1, int(np.ceil(np.ptp(drawn_ms) / 28)))  # rows of 1 ms, or more on slow devices
    edges_ms = np.arange(np.floor(drawn_ms.min()), drawn_ms.max() + step, step)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1 + 6 * len(found), 10))
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)
        for axes, (name, (accuracy, latency_ms)) in zip(panels[0], found.items(), strict=True):
            seeds = len(accuracy)
            counts, _, _ = np.histogram2d(
                latency_ms.ravel(), 100 * accuracy.ravel(), (edges_ms, edges_acc)
            )
            counts /= seeds  # (rows, columns), per run
            shade = LinearSegmentedColormap.from_list("", ("white", colour(name)))
            axes.pcolormesh(edges_acc, edges_ms, np.sqrt(counts), cmap=shade)
            for row, column in zip(*np.nonzero(counts > 0.5), strict=True):
                n, middle = counts[row, column], (edges_acc[column] + 5, edges_ms[row] + step / 2)
                ink = "white" if n > counts.max() / 2 else "black"
                axes.text(*middle, f"{n:,.0f}", color=ink, ha="center", va="center")
            _mark_target(axes, target_ms, horizontal=True)
            axes.yaxis.get_major_locator().set_params(integer=True)
            axes.set_xlabel("accuracy (%), columns of 10 points")
            axes.set_title(name)
        panels[0, 0].set_ylabel(f"latency (ms), rows of {step} ms")
        figure.suptitle(f"Fig. 6: networks drawn per run, mean of {seeds} seeds\non {source}")
        _save(figure, path)


def fig7(path, found, exact, target_ms, source):
    """Fig. 7: mean accuracy and latency of each window of 250 networks, as the search goes on."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 9))
        panels = figure.subplots(2, 1, sharex=True)
        last = ({}, {})  # where each reward's line ends, per panel
        for name, columns in found.items():
            seeds, samples = columns[0].shape
            for k, (axes, unit) in enumerate(zip(panels, (100, 1), strict=True)):
                means = unit * window_means(columns[k])  # (seeds, windows)
                ends = WINDOW * (np.arange(means.shape[1]) + 1)
                low, middle, high = np.quantile(means, [0.1, 0.5, 0.9], axis=0)
                middles = ends - WINDOW / 2
                axes.fill_between(middles, low, high, color=colour(name), alpha=0.15, lw=0)
                axes.plot(middles, middle, "o-", ms=4, color=colour(name))
                last[k][name] = middle[-1]
                if name in exact:
                    policy = np.median(unit * exact[name][k], axis=0)  # (windows,)
                    axes.plot(ends, policy, color=colour(name), lw=0.9)
            if name in exact:
                settled = settles_at(*columns, target_ms)
                settled = settled[settled < samples]  # (seeds that do,)
                level = np.full(len(settled), target_ms)
                panels[1].plot(settled, level, "|", ms=20, mew=2.5, color=colour(name))
        panels[0].set_ylabel("mean accuracy (%)")
        panels[1].set_ylabel("mean latency (ms)")
        panels[1].set_xlabel(
            "networks drawn\nthick: drawn, median and 80 % of seeds; thin: expected under the "
            "exact policy; | where a seed settles"
        )
        _mark_target(panels[1], target_ms, horizontal=True)
        for axes, ends in zip(panels, last, strict=True):
            _label_ends(axes, middles[-1], ends)
        figure.suptitle(f"Fig. 7: windows of {WINDOW} networks, {seeds} seeds\non {source}")
        _save(figure, path)


VERDICT_COLOURS = {"reproduced": "#009E73", "not reproduced": "#D55E00", "undecided": "#777777"}


def claims_figure(path, entries, source):
    """The claim ledger: per claim, the paper's number, our seeds, their median and its interval."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(13, 0.85 * len(entries) + 1.2), layout="none")
        grid = {"left": 0.29, "right": 0.86, "top": 0.9, "bottom": 0.05, "hspace": 1.1}
        if not entries:
            figure.text(0.5, 0.3, "It makes none about these rewards.", ha="center")
        rows = entries and figure.subplots(len(entries), squeeze=False, gridspec_kw=grid)[:, 0]
        for axes, e in zip(rows, entries, strict=True):
            tint = VERDICT_COLOURS[e["verdict"]]
            axes.plot([e["low"], e["high"]], [0, 0], color=tint, lw=9, alpha=0.5)
            axes.plot(e["per_seed"], np.zeros(len(e["per_seed"])), "|", color="black", ms=9)
            axes.plot(e["ours"], 0, "o", color=tint, ms=9)
            if e["kind"] == "direction":
                axes.axvline(0, color="black", lw=1)
            if e["paper"] is not None:
                axes.plot(e["paper"], 0, "D", color="black", mfc="none", ms=11, mew=2)
            axes.margins(0.08)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.tick_params(labelsize=10)
            across = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
            axes.annotate(e["claim"], (-0.02, 0.5), ha="right", **across)
            axes.annotate(e["verdict"], (1.02, 0.5), color=tint, weight="bold", **across)
        figure.suptitle(
            "The paper's claims: diamond, the paper; bar, 95 % interval of our median (dot); "
            f"ticks, seeds\non {source}"
        )
        _save(figure, path)


def _mark_target(axes, target_ms, horizontal=False):
    """A dashed line at T, named."""
    if horizontal:
        axes.axhline(target_ms, color="black", ls="--", lw=1.5)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        where = {"xycoords": ("axes fraction", "data"), "bbox": box}
        axes.annotate(f"T = {target_ms:.4g} ms", (0.01, target_ms), **where)
    else:
        axes.axvline(target_ms, color="black", ls="--", lw=1.5)
        axes.annotate(f" T = {target_ms:.4g} ms", (target_ms, axes.get_ylim()[1]), va="top")


def _label_ends(axes, x, ends):
    """Write each name beside the end of its line, ends {name: y}, moved apart if they collide."""
    gap = 0.06 * np.ptp(axes.get_ylim())
    y = -np.inf
    for name in sorted(ends, key=ends.get):
        y = max(ends[name], y + gap)
        axes.annotate(f"  {name}", (x, y), color=colour(name), va="center")


def _save(figure, path):
    figure.savefig(path)
