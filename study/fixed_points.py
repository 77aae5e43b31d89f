"""Where searches end, and where a search of unlimited length goes: the fixed point, exact.

`python study/beyond.py fixed_points` calls `search`. The fixed point is
nas_search.fixed_point_policy. The end of searches is what their last policies expect, the median
over seeds; `cells` is exp of a policy's entropy: over how many cells it spreads. Accuracies and
shares under T are in %, latencies in ms."""

import itertools

from tables import MODELLED, STUDY, collect, read  # first  # isort: skip
from tables import select, table_of, write_csv  # isort: skip
import numpy as np
import surrogate

import figures
from command_line import atomic_output
from nas_benchmark import SHORT
from nas_reward import PAIR, T_MS, WINDOW
from nas_search import HYPERPARAMETERS, Problem, policies, run_searches

SEEDS = range(40)
SAMPLES = (5_000, 20_000)
WEIGHTS = (0.001, 0.003, 0.005, 0.01)
TABLES = ("surrogate", MODELLED)
FEW_SEEDS = range(10)  # of the first steps
STEPS = (0, 250, 500, 1_000, 2_000, 5_000)  # samples
DEVICES = {"1080ti_256": 25.5, "titan_rtx_256": 18.0, "pixel3": T_MS}  # T in ms
QUANTITIES = ("accuracy", "latency_ms", "under", "cells")


def search(folder):
    """Search with every entropy weight on both tables; writes three CSV files and the picture."""
    collect("fixed_points.csv", list(itertools.product(TABLES, WEIGHTS)), ends_of, folder)
    write_csv("fixed_devices.csv", on_devices(folder))
    write_csv("first_steps.csv", first_steps(table_of(MODELLED, folder)))
    with atomic_output(STUDY) as unfinished:
        lines = read("fixed_points.csv")
        draw(unfinished / "fixed_points.png", lines, table_of("surrogate", folder))


def ends_of(folder, table, w, seeds=SEEDS, samples=SAMPLES):
    """A line per reward and number of samples: the median end, and the fixed point."""
    problem = Problem(table_of(table, folder), PAIR, T_MS)
    chosen = HYPERPARAMETERS | dict(entropy_weight=w)
    runs = run_searches(problem, seeds, max(samples), hyperparameters=chosen)
    fixed = problem.fixed_points(w)
    lines = []
    for name, n in itertools.product(PAIR, samples):
        last = -(-n // WINDOW) - 1  # the last window of n samples
        expected = runs.expected[name].items()
        end = {quantity: np.median(values[:, last]) for quantity, values in expected}
        line = dict(table=table, entropy_weight=w, reward=name, samples=n)
        for where, numbers in (("end", end), ("fixed", fixed[name])):
            line[f"{where}.accuracy"] = round(100 * numbers["accuracy"], 2)
            line[f"{where}.latency_ms"] = round(numbers["latency_ms"], 2)
            line[f"{where}.under"] = round(100 * numbers["p_under_target"])
            line[f"{where}.cells"] = round(float(np.exp(numbers["entropy"])))
        lines.append(line)
    return lines


def on_devices(folder):
    """The fixed points on measured devices, at the default entropy weight, and the best cells."""
    lines = []
    for table, target_ms in DEVICES.items():
        problem = Problem(table_of(table, folder), PAIR, target_ms)
        fixed = problem.fixed_points(HYPERPARAMETERS["entropy_weight"])
        for name, end in fixed.items():
            line = dict(table=table, target_ms=target_ms, reward=name)
            for where, point in (("best", problem.optima()[name]), ("fixed", end)):
                line[where] = f"{point['accuracy']:.2%}, {point['latency_ms']:.2f} ms"
            line["under"] = f"{end['p_under_target']:.0%}"
            line["cells"] = round(float(np.exp(end["entropy"])))
            lines.append(line)
    return lines


def first_steps(benchmark, seeds=FEW_SEEDS, steps=STEPS):
    """How many edges carry each operation under the exact policies, the mean over seeds."""
    problem = Problem(benchmark, PAIR, T_MS)
    percent = 100 * benchmark.accuracy
    columns = np.column_stack([surrogate.COUNTS, percent, benchmark.latency_ms])  # (15625, 7)
    names = [*SHORT, "accuracy", "latency_ms"]
    of_seeds = [policies(problem, seed, steps) for seed in seeds]
    lines = []
    for samples, found in zip(steps, zip(*of_seeds, strict=True), strict=True):
        for reward in PAIR:
            p = np.mean([of_seed[reward] for of_seed in found], axis=0)  # (15625,)
            line = dict(reward=reward, samples=samples)
            line |= dict(zip(names, np.round(p @ columns, 2).tolist(), strict=True))
            lines.append(line)
    return lines


def ends_table():
    """Ends after few and many samples, the fixed point, and the difference of the last two."""
    lines = read("fixed_points.csv")
    for table, w, name in itertools.product(TABLES, WEIGHTS, PAIR):
        few, many = select(lines, table=table, entropy_weight=w, reward=name)
        row = f"{table} | {w} | {name}"
        points = []
        for line, where in ((few, "end"), (many, "end"), (many, "fixed")):
            points.append([line[f"{where}.{quantity}"] for quantity in QUANTITIES])
            row += " | {:.2f}%, {:.2f} ms ({:.0f}%; {:,.0f})".format(*points[-1])
        pp, ms, *_ = np.subtract(points[1], points[2])
        yield f"{row} | {pp:+.2f} pp, {ms:+.2f} ms"


def draw(path, lines, benchmark):
    """Where searches end and where the fixed points are, over the entropy weight, per reward."""
    title = "Where searches end (dots), and the fixed points (stars), as the entropy weight grows"
    styles = {"fixed": ("*-", 26, "fixed points"), "end": ("o-", 12, "ends")}
    with figures.picture(path, title, columns=2, margins=dict(bottom=0.22)) as [panels]:
        for axes, n in zip(panels, SAMPLES, strict=True):
            figures.draw_cells(axes, benchmark)
            figures.mark_target_upright(axes, T_MS)
            for name, where in itertools.product(PAIR, styles):
                mine = select(lines, table="surrogate", reward=name, samples=n)
                ms = [line[f"{where}.latency_ms"] for line in mine]
                percent = [line[f"{where}.accuracy"] for line in mine]
                mark, size, what = styles[where]
                style = dict(ms=size, mec="black", color=figures.palette(PAIR)[name])
                label = f"{figures.title_of(name)}: {what}"
                axes.plot(ms, percent, mark, label=label, **style)
            axes.set(xlim=(14, 19.5), ylim=(67.8, 73.6), xlabel="latency (ms)")
            axes.set_title(f"{n:,} samples; w = {WEIGHTS[0]:g} at the top to {WEIGHTS[-1]:g}")
        panels[0].set_ylabel("accuracy (%)")
        handles = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(*handles, loc="lower center", ncols=3)
