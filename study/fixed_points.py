"""Where searches end, and where a search of unlimited length goes: the fixed point, exact.

    python study/fixed_points.py search --from DIR    40 seeds of 20,000 samples; 20 minutes

DIR holds the public tables, as data/README.md says; without --from they are downloaded. It writes
fixed_points.csv and .png, fixed_devices.csv, first_steps.csv, and from them tables of
study/beyond.md. The fixed point is nas_search.fixed_point_policy. The end of searches is what their
last policies expect, the median over seeds; `cells` is exp of a policy's entropy: over how many
cells it spreads. Accuracies and shares under T are in %, latencies in ms."""

import functools
import itertools

from tables import MODELLED, STUDY, as_table, collect, main, read, select, table_of  # isort: skip
import numpy as np
import surrogate
from pages import read_csv, write_csv

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
    """Search with every entropy weight on both tables; writes CSV files and the picture."""
    todo = list(itertools.product(TABLES, WEIGHTS))
    collect(STUDY / "fixed_points.csv", todo, functools.partial(ends_of, folder))
    write_csv(STUDY / "fixed_devices.csv", on_devices(folder))
    write_csv(STUDY / "first_steps.csv", first_steps(table_of(MODELLED, folder)))
    with atomic_output(STUDY) as unfinished:
        lines = read(STUDY / "fixed_points.csv")
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


def tables(folder=STUDY):
    """{marker: text} of the page's tables."""
    lines = read_csv(folder / "fixed_devices.csv")
    devices = [" | ".join(line.values()) for line in lines]
    devices_header = "benchmark | T, ms | reward | best cell | fixed point | under T | cells"
    steps = [" | ".join(line.values()) for line in read_csv(folder / "first_steps.csv")]
    steps.sort(key=lambda row: row.partition(" | ")[0])  # by reward
    edges = " | ".join(f"edges with {name}" for name in SHORT)
    steps_header = f"reward | samples | {edges} | accuracy, % | latency, ms"
    rows = []
    lines = read(folder / "fixed_points.csv")
    for table, w, name in itertools.product(TABLES, WEIGHTS, PAIR):
        searches = select(lines, table=table, entropy_weight=w, reward=name)
        points = [[line[f"end.{x}"] for x in QUANTITIES] for line in searches]
        points.append([searches[0][f"fixed.{x}"] for x in QUANTITIES])
        row = f"{table} | {w} | {name}"
        for point in points:
            row += " | {:.2f}%, {:.2f} ms ({:.0f}%; {:,.0f})".format(*point)
        pp, ms, *_ = np.subtract(points[-2], points[-1])
        rows.append(f"{row} | {pp:+.2f} pp, {ms:+.2f} ms")
    header = "table | w | reward | ends after 5,000 | ends after 20,000 | fixed point"
    return {
        "fixed": as_table(f"{header} | after 20,000, minus fixed point", rows),
        "devices": as_table(devices_header, devices),
        "steps": as_table(steps_header, steps),
    }


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


if __name__ == "__main__":
    main(__doc__, {"search": search}, {"beyond.md": tables})
