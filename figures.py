"""What people look at: Figs 2, 3, 6 and 7 of the paper, drawn from our own runs, and the ledger.

Every function saves one picture as a PNG. Each reward has one colour everywhere, and the title
names the benchmark. What is drawn stands in `samples.csv.gz` and `summary.json` as well.

    found    {reward: (accuracy, latency_ms)}, each (seeds, samples); accuracy in 0..1
    exact    {reward: (5, seeds, windows)}, expected under the policy; accuracy, latency_ms first"""

import contextlib

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure  # without pyplot: no display, and a faster start

from claims import PAIR, WINDOW, settles_at, window_means
from nas_reward import REWARDS, TABLE_1, mnasnet_slope, proposed_slope

# Okabe and Ito's colours, told apart by colour-blind readers as well; one per reward, in order.
COLOURS = ("#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
VERDICT_COLOURS = {"reproduced": "#009E73", "not reproduced": "#D55E00", "undecided": "#777777"}
STYLE = {"font.size": 13, "axes.titlesize": 14, "lines.linewidth": 2.5, "savefig.dpi": 110}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False}


def colour(reward):
    """The colour of a reward, the same in every figure; random search is grey."""
    names = list(REWARDS)
    return COLOURS[names.index(reward) % len(COLOURS)] if reward in names else "#777777"


@contextlib.contextmanager
def picture(path, title, size, rows=1, columns=1, layout="constrained", **shared):
    """Panels (rows, columns) to draw on; at the end they stand in `path`, under `title`."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout=layout)
        yield figure.subplots(rows, columns, squeeze=False, **shared)
        figure.suptitle(title)
        figure.savefig(path)


def fig2(path, target_ms):
    """Fig. 2: what one more millisecond costs, under each reward (slope of R by LAT)."""
    latency_ms = np.linspace(1, 1.5 * target_ms - 1, 400)
    title = "Fig. 2: MnasNet's reward urges fast networks on, the proposed one slow ones"
    with picture(path, title, (9, 5)) as [[axes]]:
        for name, slope in zip(PAIR, (mnasnet_slope, proposed_slope), strict=True):
            cost = -1000 * slope(0.7, latency_ms, target_ms)
            axes.plot(latency_ms, cost, color=colour(name), label=name)
        axes.set(xlim=(0, 1.5 * target_ms), ylim=(0, 500 / target_ms))
        axes.set(xlabel="latency (ms)", ylabel="reward lost per ms (thousandths)")
        axes.legend(frameon=False, title="accuracy 70 %")
        _mark_target(axes, target_ms)


def fig3(path, target_ms):
    """Fig. 3: both rewards against latency, for three accuracies, with Table 1's networks."""
    latency_ms = np.linspace(2, 1.75 * target_ms, 500)
    title = "Fig. 3: the two rewards against latency"
    with picture(path, title, (13, 5.5), columns=2, sharey=True) as [panels]:
        for axes, name in zip(panels, PAIR, strict=True):
            for accuracy, style in ((0.6, ":"), (0.7, "--"), (0.8, "-")):
                reward = REWARDS[name](accuracy, latency_ms, target_ms)
                axes.plot(latency_ms, reward, style, color=colour(name))
                axes.annotate(f"{accuracy:.0%}", (latency_ms[-1], reward[-1]), va="center")
            _, accuracy, ms, *_ = map(np.array, zip(*TABLE_1, strict=True))
            axes.plot(ms, REWARDS[name](accuracy, ms, target_ms), "ko", label="Table 1's networks")
            axes.set(title=name, xlabel="latency (ms)")
            _mark_target(axes, target_ms)
        panels[0].set_ylabel("reward, for three accuracies")
        panels[0].legend(frameon=False)


def fig6(path, found, target_ms, source):
    """Fig. 6: how many networks of each accuracy and latency a run draws (mean over seeds)."""
    acc, ms = (np.concatenate(c, axis=None) for c in zip(*found.values(), strict=True))
    edges_acc = np.arange(10 * np.floor(10 * acc.min()), 100 * acc.max() + 10, 10)  # %
    step = max(1, int(np.ceil(np.ptp(ms) / 28)))  # rows of 1 ms, or more on slow devices
    edges_ms = np.arange(np.floor(ms.min()), ms.max() + step, step)
    seeds = len(found["random"][0])
    title = f"Fig. 6: networks drawn per run, mean of {seeds} seeds\non {source}"
    size = (1 + 6 * len(found), 10)
    with picture(path, title, size, columns=len(found), sharey=True) as [panels]:
        for axes, (name, columns) in zip(panels, found.items(), strict=True):
            accuracy, latency_ms = (column.ravel() for column in columns)
            counts = np.histogram2d(latency_ms, 100 * accuracy, (edges_ms, edges_acc))[0] / seeds
            shade = LinearSegmentedColormap.from_list("", ("white", colour(name)))
            axes.pcolormesh(edges_acc, edges_ms, np.sqrt(counts), cmap=shade)
            for row, column in zip(*np.nonzero(counts > 0.5), strict=True):
                n, middle = counts[row, column], (edges_acc[column] + 5, edges_ms[row] + step / 2)
                ink = "white" if n > counts.max() / 2 else "black"
                axes.text(*middle, f"{n:,.0f}", color=ink, ha="center", va="center")
            axes.set(title=name, xlabel="accuracy (%), columns of 10 points")
            _mark_target(axes, target_ms, horizontal=True)
        panels[0].yaxis.get_major_locator().set_params(integer=True)
        panels[0].set_ylabel(f"latency (ms), rows of {step} ms")


def fig7(path, found, exact, target_ms, source):
    """Fig. 7: mean accuracy and latency of each window of 250 networks, as the search goes on."""
    seeds, samples = found["random"][0].shape
    title = f"Fig. 7: windows of {WINDOW} networks, {seeds} seeds\non {source}"
    with picture(path, title, (11, 9), rows=2, sharex=True) as [[above], [below]]:
        _mark_target(below, target_ms, horizontal=True)
        panels = ((above, 100, "mean accuracy (%)"), (below, 1, "mean latency (ms)"))
        for k, (axes, unit, label) in enumerate(panels):
            axes.set_ylabel(label)
            last = {}  # where each reward's line ends
            for name, columns in found.items():
                means = unit * window_means(columns[k])  # (seeds, windows)
                ends = WINDOW * (np.arange(means.shape[1]) + 1)
                low, middle, high = np.quantile(means, [0.1, 0.5, 0.9], axis=0)
                x, last[name] = ends - WINDOW / 2, middle[-1]
                axes.fill_between(x, low, high, color=colour(name), alpha=0.15, lw=0)
                axes.plot(x, middle, "o-", ms=4, color=colour(name))
                if name in exact:
                    axes.plot(ends, unit * np.median(exact[name][k], 0), color=colour(name), lw=0.9)
            _label_ends(axes, ends[-1], last)
        for name in exact:
            settled = settles_at(*found[name], target_ms)
            settled = settled[settled < samples]  # (seeds that do,)
            below.plot(settled, 0 * settled + target_ms, "|", ms=20, mew=2.5, color=colour(name))
        thick = "thick: drawn, median and 80 % of seeds; thin: expected under the exact policy; "
        below.set_xlabel(f"networks drawn\n{thick}| where a seed settles")


def claims_figure(path, entries, source):
    """The claim ledger: per claim, the paper's number, our seeds, their median and its interval."""
    title = "Claims: diamond, the paper; ticks, our seeds; dot and bar, their median and its 95 %"
    title = f"{title} interval\non {source}" if entries else "No claim is about these rewards"
    grid = {"left": 0.29, "right": 0.86, "top": 0.9, "bottom": 0.05, "hspace": 1.1}
    rows, size = max(1, len(entries)), (13, 0.85 * len(entries) + 1.2)
    with picture(path, title, size, rows, layout="none", gridspec_kw=grid) as panels:
        for [axes], e in zip(panels, entries, strict=False):
            tint = VERDICT_COLOURS[e["verdict"]]
            axes.plot([e["low"], e["high"]], [0, 0], color=tint, lw=9, alpha=0.5)
            axes.plot(e["per_seed"], np.zeros(len(e["per_seed"])), "|", color="black", ms=9)
            axes.plot(e["ours"], 0, "o", color=tint, ms=9)
            if e["kind"] == "direction":
                axes.axvline(0, color="black", lw=1)
            if e["paper"] is not None:
                axes.plot(e["paper"], 0, "D", color="black", mfc="none", ms=11, mew=2)
            axes.set(yticks=[], xmargin=0.08)
            axes.spines["left"].set_visible(False)
            across = {"xycoords": "axes fraction", "va": "center", "annotation_clip": False}
            axes.annotate(e["claim"], (-0.02, 0.5), ha="right", **across)
            axes.annotate(e["verdict"], (1.02, 0.5), color=tint, weight="bold", **across)


def _mark_target(axes, target_ms, horizontal=False):
    """A dashed line at T, named: above it at the left, or beside it at the top."""
    line, at = (axes.axhline, (0, target_ms)) if horizontal else (axes.axvline, (target_ms, 1))
    line(target_ms, color="black", ls="--", lw=1.5)
    where = ("axes fraction", "data") if horizontal else ("data", "axes fraction")
    side = "bottom" if horizontal else "top"
    axes.annotate(f" T = {target_ms:.4g} ms", at, xycoords=where, va=side)


def _label_ends(axes, x, ends):
    """Write each name beside the end of its line, ends {name: y}, moved apart if they collide."""
    gap, y = 0.06 * np.ptp(axes.get_ylim()), -np.inf
    for name in sorted(ends, key=ends.get):
        y = max(ends[name], y + gap)
        axes.annotate(f"  {name}", (x, y), color=colour(name), va="center")
