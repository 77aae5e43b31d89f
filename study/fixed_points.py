"""Where searches end, and where a search of unlimited length goes: the fixed point, exact.

    python study/fixed_points.py search --from DIR    40 seeds of 20,000 samples; 20 minutes

DIR holds the public tables, as data/README.md says; without --from they are downloaded. It writes
fixed_points.csv, first_steps.csv and fixed_points.png beside this file, and from them the tables of
study/beyond.md. The fixed point is nas_search.fixed_point_policy: exact, without a search.

    name      meaning                                                          unit
    w         entropy weight                                                   R
    end       what the last policy expects, the median over seeds              %, ms
    distance  end minus fixed point                                            pp, ms
    cells     exp of the policy's entropy: over how many cells it spreads"""

import itertools
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import numpy as np
from pages import markdown, read_csv, write_csv
from sensitivity import MODELLED, table_of
from tables import STUDY, choose, fill

import figures
from command_line import atomic_output, run, tracked
from nas_benchmark import CELLS, SHORT
from nas_reward import PAIR, T_MS, WINDOW
from nas_search import HYPERPARAMETERS, Problem, policies, run_searches

SEEDS = range(40)
SAMPLES = (5_000, 20_000)
WEIGHTS = (0.001, 0.003, 0.005, 0.01)
TABLES = ("surrogate", MODELLED)
FEW_SEEDS = range(10)  # of the first steps
DEVICES = {"1080ti_256": 25.5, "titan_rtx_256": 18.0, "pixel3": T_MS}  # T in ms
STEPS = (0, 250, 500, 1_000, 2_000, 5_000)  # samples


# --- The searches -----------------------------------------------------------------------------


def search(folder, out=STUDY, seeds=SEEDS, samples=SAMPLES):
    """Search with every entropy weight on both tables; writes to the folder `out`."""
    lines = []
    for table, w in tracked(list(itertools.product(TABLES, WEIGHTS))):
        problem = Problem(table_of(table, folder), PAIR, T_MS)
        chosen = HYPERPARAMETERS | dict(entropy_weight=w)
        runs = run_searches(problem, seeds, max(samples), hyperparameters=chosen)
        lines += ends_of(table, w, runs, samples)
    write_csv(out / "fixed_points.csv", lines)
    write_csv(out / "first_steps.csv", first_steps(table_of(MODELLED, folder)))
    write_csv(out / "fixed_devices.csv", on_devices(folder))
    with atomic_output(out) as unfinished:
        draw(unfinished / "fixed_points.png", lines, table_of("surrogate", folder))
    fill(out / "beyond.md", tables(out))


def ends_of(table, w, runs, samples):
    """A line per reward and number of samples: the median end, and the fixed point."""
    fixed = runs.problem.fixed_points(w)
    lines = []
    for name, n in itertools.product(PAIR, samples):
        window = -(-n // WINDOW) - 1
        end = {key: np.median(values[:, window]) for key, values in runs.expected[name].items()}
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
        optima = problem.optima()
        for name, end in problem.fixed_points(HYPERPARAMETERS["entropy_weight"]).items():
            best = optima[name]
            line = dict(table=table, target_ms=target_ms, reward=name)
            line |= dict(
                best=f"{best['accuracy']:.2%}, {best['latency_ms']:.2f} ms",
                fixed=f"{end['accuracy']:.2%}, {end['latency_ms']:.2f} ms",
                under=f"{end['p_under_target']:.0%}",
                cells=round(float(np.exp(end["entropy"]))),
            )
            lines.append(line)
    return lines


def first_steps(benchmark):
    """How many edges carry each operation under the exact policies, the mean over seeds."""
    problem = Problem(benchmark, PAIR, T_MS)
    counts = np.stack([(k == CELLS).sum(axis=1) for k in range(len(SHORT))])  # (5, 15625)
    columns = np.vstack([counts, benchmark.accuracy, benchmark.latency_ms])
    found = [
        [columns @ p[name] for name in PAIR] for s in FEW_SEEDS for p in policies(problem, s, STEPS)
    ]
    found = np.reshape(found, (len(FEW_SEEDS), len(STEPS), len(PAIR), -1)).mean(axis=0)
    lines = []
    for (k, n), (r, name) in itertools.product(enumerate(STEPS), enumerate(PAIR)):
        *edges, accuracy, latency_ms = found[k, r]
        line = dict(reward=name, samples=n)
        line |= dict(zip(SHORT, np.round(edges, 2).tolist(), strict=True))
        lines.append(
            line | dict(accuracy=round(100 * accuracy, 2), latency_ms=round(latency_ms, 2))
        )
    return lines


# --- The tables and the picture ---------------------------------------------------------------


def tables(folder=STUDY):
    """{marker: text} of the page's tables."""
    lines = read_csv(folder / "fixed_points.csv")
    return {
        "fixed": fixed_table(lines),
        "devices": devices_table(read_csv(folder / "fixed_devices.csv")),
        "steps": steps_table(read_csv(folder / "first_steps.csv")),
    }


def fixed_table(lines):
    """Where searches end, and the fixed point, by table and entropy weight."""
    rows = []
    by_search = {}
    for line in lines:
        key = (line["table"], line["entropy_weight"], line["reward"])
        by_search.setdefault(key, []).append(line)
    for key, ends in by_search.items():
        places = [place(line, "end") for line in ends]
        rows.append([*key, *places, place(ends[0], "fixed"), distance(ends[-1])])
    header = ["table", "w", "reward", *(f"ends after {n:,}" for n in SAMPLES), "fixed point"]
    return markdown([*header, f"after {max(SAMPLES):,}, minus fixed point"], rows)


def place(line, where):
    """Accuracy, latency, share under T, cells."""
    accuracy, ms, under, cells = (
        float(line[f"{where}.{name}"]) for name in ("accuracy", "latency_ms", "under", "cells")
    )
    return f"{accuracy:.2f}%, {ms:.2f} ms ({under:.0f}%; {cells:,.0f})"


def distance(line):
    pp, ms = (
        float(line[f"end.{name}"]) - float(line[f"fixed.{name}"])
        for name in ("accuracy", "latency_ms")
    )
    return f"{pp:+.2f} pp, {ms:+.2f} ms"


def devices_table(lines):
    """The fixed points on measured devices."""
    header = ["benchmark", "T, ms", "reward", "best cell", "fixed point", "under T", "cells"]
    return markdown(header, [line.values() for line in lines])


def steps_table(lines):
    """Which operations the policies prefer, as the searches go on."""
    rows = [list(line.values()) for line in sorted(lines, key=lambda line: line["reward"])]
    header = ["reward", "samples", *(f"edges with {name}" for name in SHORT)]
    return markdown([*header, "accuracy, %", "latency, ms"], rows)


def draw(path, lines, benchmark):
    """Where searches end and where the fixed points are, over the entropy weight, per reward."""
    title = "Where searches end (dots), and the fixed points (stars), as the entropy weight grows"
    colours = figures.palette(PAIR)
    with figures.picture(path, title, columns=2, margins=dict(bottom=0.22)) as [panels]:
        for axes, n in zip(panels, SAMPLES, strict=True):
            figures.draw_cells(axes, benchmark)
            figures.mark_target_upright(axes, T_MS)
            for name in PAIR:
                mine = [e for e in lines if (e["table"], e["reward"]) == (TABLES[0], name)]
                mine = [e for e in mine if e["samples"] == n]
                for where, mark, size in (("fixed", "*-", 26), ("end", "o-", 12)):
                    ms = [e[f"{where}.latency_ms"] for e in mine]
                    percent = [e[f"{where}.accuracy"] for e in mine]
                    style = dict(ms=size, mec="black", color=colours[name])
                    what = "fixed points" if where == "fixed" else "ends"
                    label = f"{figures.title_of(name)}: {what}"
                    axes.plot(ms, percent, mark, label=label, **style)
            axes.set(xlim=(14, 19.5), ylim=(67.8, 73.6), xlabel="latency (ms)")
            axes.set_title(f"{n:,} samples; w = {WEIGHTS[0]:g} at the top to {WEIGHTS[-1]:g}")
        panels[0].set_ylabel("accuracy (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(handles, labels, loc="lower center", ncols=3)


def command(argv):
    """Run the command that `argv` names."""
    choose(argv, "Searches, and the fixed points that they go to.", {"search": search})


if __name__ == "__main__":
    sys.exit(run(command, sys.argv[1:]))
