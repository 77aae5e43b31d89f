"""Beyond the paper: the runs, the tables and a picture of study/beyond.md.

    python study/beyond.py COMMAND --from DIR    strength, fixed, optima or published

The page has the commands; they write CSV files, from which docs/check.py makes its tables.

    form      how a reward joins ACC and LAT: MnasNet's, by its exponent w = alpha = beta; or the
              proposed, by its weight y, where x = 1 - y
    strength  the latency penalty at T. A w and a y of the same penalty are a pair
    end       what the last policy of a search expects: exact, not sampled
    fixed     what nas_search.fixed_point_policy expects
    cells     over how many cells a policy spreads: exp of its entropy"""

import functools
import itertools
import math

from tables import MODELLED, STUDY, TABLES, cells, collect, main  # first  # isort: skip
from tables import read, select, table_of, write_csv  # isort: skip
import build_benchmark
import numpy as np
import published
import surrogate

import figures
from command_line import atomic_output, tracked
from nas_benchmark import SHORT
from nas_reward import ALPHA, PAIR, REWARDS, SAMPLES, T_MS, WINDOW, Y, equal_strength
from nas_search import EXPECTED, HYPERPARAMETERS, Problem, policies, run_searches

PROXYLESS = -0.10  # ProxylessNAS's exponent (Cai et al. 2019; their code)

# --- Strength ---------------------------------------------------------------------------------

TARGETS_MS = {"surrogate": T_MS, MODELLED: T_MS, "1080ti_256": 25.5}
TARGETS_MS |= {"titan_rtx_256": 18.0, "pixel3": T_MS}  # 18 ms: HELP's Table 4
SEEDS = range(20)
# Each fixes the strength of one form; that of the other follows. ALPHA and Y are the paper's.
SWEEP = [("y", 0.03), ("w", ALPHA), ("w", PROXYLESS)]
SWEEP += [("y", Y), ("y", 0.14), ("y", 0.20)]
MNASNET_SETTING = SWEEP.index(("w", ALPHA))
PAPER_SETTING = SWEEP.index(("y", Y))
PAPERS = (("mnasnet", MNASNET_SETTING), ("paper", PAPER_SETTING))  # its two rewards
END = ("accuracy", "latency_ms", "under")  # the first three of nas_search.EXPECTED


def proposed_by_x(accuracy, latency_ms, target_ms, y):
    """R / x = ACC + (y / x) L: Eq. 5 at MnasNet's scale. It prefers the same networks.

    An entropy bonus weighs more in a smaller reward; so without this, scale would pass for form."""
    x = 1 - y
    return REWARDS["proposed"](accuracy, latency_ms, target_ms, x, y) / x


def strength_problem(benchmark, target_ms):
    """The Problem with two rewards per pair, called (form, number of the pair), and the paper's;
    and the pairs (w, y) of SWEEP, where ACC is that of the best cell under T."""
    accuracy = float(benchmark.accuracy[benchmark.latency_ms <= target_ms].max())
    rewards = {("paper", PAPER_SETTING): REWARDS["proposed"]}
    pairs = []
    for k, (name, value) in enumerate(SWEEP):
        if name == "y":
            w, y = equal_strength(value, accuracy, target_ms), value
        else:
            w, y_by_x = value, -value * accuracy * math.log(target_ms) / 2
            y = y_by_x / (1 + y_by_x)
        pairs.append((w, y))
        rewards["mnasnet", k] = functools.partial(REWARDS["mnasnet"], alpha=w, beta=w)
        rewards["proposed", k] = functools.partial(proposed_by_x, y=y)
    return Problem(benchmark, rewards, target_ms), pairs


def strength(folder):
    """Search with both forms at every strength on every table; writes strength.csv and .png."""
    collect("strength.csv", TARGETS_MS.items(), strength_lines, folder)
    benchmarks = {table: table_of(table, folder) for table in PANELS}
    with atomic_output(STUDY) as unfinished:
        draw_strength(unfinished / "strength.png", read("strength.csv"), benchmarks)


def strength_lines(folder, table, target_ms, seeds=SEEDS, samples=SAMPLES):
    """Where each search on a table ended, and each reward's optimum: dicts for the CSV file."""
    problem, pairs = strength_problem(table_of(table, folder), target_ms)
    runs = run_searches(problem, seeds, samples)
    optima = problem.optima()
    lines = []
    for form, k in problem.reward_tables:
        w, y = (round(value, 4) for value in pairs[k])
        reward = dict(table=table, pair=k, w=w, y=y, form=form)
        best = optima[form, k]
        ends = [("optimum", "", best["accuracy"], best["latency_ms"], best["meets_target"])]
        expected = runs.expected[form, k]
        last = [expected[name][:, -1] for name in EXPECTED[:3]]  # (seeds,) each
        ends += [("search", *end) for end in zip(seeds, *last, strict=True)]
        for kind, seed, accuracy, ms, under in ends:
            line = reward | dict(kind=kind, seed=seed)
            line["accuracy"] = round(100 * float(accuracy), 3)
            line["latency_ms"] = round(float(ms), 3)
            line["under"] = round(100 * float(under), 1)
            lines.append(line)
    return lines


def ends(runs, table, form, pair, kind="search"):
    """Where the searches end, (seeds, 3): accuracy in %, ms, share under T in %; of kind "optimum"
    the same of the reward's best cell, (1, 3)."""
    lines = select(runs, table=table, form=form, pair=pair, kind=kind)
    return np.array([[line[name] for name in END] for line in lines])


def by_strength(runs, table):
    """(y, w, number) of each pair on a table, the weakest first."""
    of_table = select(runs, table=table)
    return sorted({(line["y"], line["w"], line["pair"]) for line in of_table})


def end_text(ends):
    """The median of ends (seeds, 3) as text."""
    return "{:.2f}%, {:.2f} ms ({:.0f}%)".format(*np.median(ends, axis=0))


def spread(values):
    """The median of values (seeds,) and the range of 95 % of them, as text."""
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return f"{middle:+.2f} [{low:+.2f}, {high:+.2f}]"


def settings_table():
    """Where the searches end with the paper's two settings, and each reward's own optimum."""
    runs = read("strength.csv")
    for table, target_ms in TARGETS_MS.items():
        row = f"{table} | {target_ms:g}"
        for paper in PAPERS:
            [optimum] = ends(runs, table, *paper, "optimum")
            row += " | {:.2f}%, {:.2f} ms".format(*optimum)
            row += f" | {end_text(ends(runs, table, *paper))}"
        yield row


def apart_table():
    """How far apart the paper's two settings end, and what of it is strength, scale and form."""
    runs = read("strength.csv")
    for table in TARGETS_MS:
        # At the strength of w = -0.07, then at that of y = 0.1; (seeds, 3) each.
        weak_mnasnet = ends(runs, table, "mnasnet", MNASNET_SETTING)
        weak_proposed = ends(runs, table, "proposed", MNASNET_SETTING)
        mnasnet = ends(runs, table, "mnasnet", PAPER_SETTING)
        proposed = ends(runs, table, "proposed", PAPER_SETTING)
        paper = ends(runs, table, "paper", PAPER_SETTING)
        differences = [paper - weak_mnasnet, mnasnet - weak_mnasnet, paper - proposed]
        differences += [proposed - mnasnet, weak_proposed - weak_mnasnet]
        for column, unit in ((1, "ms"), (0, "pp")):
            texts = [spread(values[:, column]) for values in differences]
            yield cells([table, unit, *texts])


def strengths_table():
    """Both forms at every strength and at one scale: where they end, and how far apart."""
    runs = read("strength.csv")
    for table in TARGETS_MS:
        for y, w, pair in by_strength(runs, table):
            one, other = (ends(runs, table, form, pair) for form in PAIR)
            pp, ms, _ = map(spread, (other - one).T)
            row = f"{table} | {w:.3f} | {y:.3f} | {end_text(one)} | {end_text(other)}"
            yield f"{row} | {ms} | {pp}"


PANELS = (MODELLED, "titan_rtx_256", "pixel3")
STYLES = {  # names of a form's curve and of the paper's setting; size of a cross
    "mnasnet": ("MnasNet's form", "the paper's w = -0.07", 24),
    "proposed": ("the proposed form", "the paper's y = 0.1", 14),
}


def draw_strength(path, runs, benchmarks):
    """study/strength.png: where the searches end as the strength grows, one panel per table."""
    title = "Where searches end as the latency penalty grows"
    margins = dict(bottom=0.26, top=0.80, wspace=0.2)
    layout = dict(columns=len(PANELS), margins=margins, sharey=False)
    with figures.picture(path, title, **layout) as [panels]:
        for axes, table in zip(panels, PANELS, strict=True):
            target_ms = TARGETS_MS[table]
            figures.draw_cells(axes, benchmarks[table])
            axes.axvline(target_ms, **figures.DASHED)
            draw_ends(axes, runs, table)
            one, other = (ends(runs, table, form, PAPER_SETTING) for form in PAIR)
            ms = np.median(one - other, axis=0)[1]
            apart = f"equal penalty: {abs(ms):.1f} ms apart"
            axes.set_title(f"{table}, T = {target_ms:g} ms\n{apart}")
            axes.set_xlabel("latency (ms)")
        panels[0].set_ylabel("accuracy (%)")
        handles = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(*handles, loc="lower center", ncols=3)


def draw_ends(axes, runs, table):
    """Per form the curve of ends; the paper's settings as large dots, their optima as crosses."""

    def plot(ends, mark, **style):
        axes.plot(ends[..., 1], ends[..., 0], mark, **style)

    *_, pairs = zip(*by_strength(runs, table), strict=True)
    searches = [[ends(runs, table, form, pair) for pair in pairs] for form in PAIR]
    curves = np.median(searches, axis=2)  # (2, pairs, 3)
    plot(curves, ":", color="black", lw=2.5)
    axes.lines[-1].set_label("equal penalty")
    cross = dict(ms=18, mew=5, label="cell of highest reward for a large dot")
    axes.plot([], [], "x", color="black", **cross)
    seen = [*curves]
    for name, curve, paper in zip(PAIR, curves, PAPERS, strict=True):
        label, dot_label, size = STYLES[name]
        tint = figures.palette(PAIR)[name]
        seeds = ends(runs, table, *paper)
        dot = np.median(seeds, axis=0)
        [cross] = ends(runs, table, *paper, "optimum")
        plot(seeds, ".", color=tint, alpha=0.5)
        plot(curve, "o-", color=tint, ms=7, label=label)
        plot(dot, "o", color=tint, ms=20, mec="white", label=dot_label)
        plot(cross, "x", color=tint, ms=size, mew=5)
        seen += [[dot, cross]]
    seen = np.concatenate(seen)
    margin = 0.1 * np.ptp(seen, axis=0)
    limits = np.transpose([seen.min(axis=0) - margin, seen.max(axis=0) + margin])
    axes.set(xlim=limits[1], ylim=limits[0])


# --- Fixed points: where a search of unlimited length goes ------------------------------------

LONG_SEEDS = range(40)
LONG = (5_000, 20_000)  # samples
WEIGHTS = (0.001, 0.003, 0.005, 0.01)
FEW_SEEDS = range(10)  # of the first steps
STEPS = (0, 250, 500, 1_000, 2_000, 5_000)  # samples
DEVICES = ("1080ti_256", "titan_rtx_256", "pixel3")


def fixed(folder):
    """Search with every entropy weight on both tables; writes three CSV files and the picture."""
    todo = list(itertools.product(TABLES, WEIGHTS))
    collect("fixed_points.csv", todo, fixed_lines, folder)
    write_csv("fixed_devices.csv", on_devices(folder))
    write_csv("first_steps.csv", first_steps(table_of(MODELLED, folder)))
    with atomic_output(STUDY) as unfinished:
        lines = read("fixed_points.csv")
        draw_fixed(unfinished / "fixed_points.png", lines, table_of("surrogate", folder))


def fixed_lines(folder, table, w, seeds=LONG_SEEDS, samples=LONG):
    """A line per reward and number of samples: the median end, and the fixed point."""
    problem = Problem(table_of(table, folder), PAIR, T_MS)
    chosen = HYPERPARAMETERS | dict(entropy_weight=w)
    runs = run_searches(problem, seeds, max(samples), hyperparameters=chosen)
    fixed = problem.fixed_points(w)
    lines = []
    for name, n in itertools.product(PAIR, samples):
        last = n // WINDOW - 1  # the last window of n samples
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
    for table in DEVICES:
        problem = Problem(table_of(table, folder), PAIR, TARGETS_MS[table])
        fixed = problem.fixed_points(HYPERPARAMETERS["entropy_weight"])
        for name, end in fixed.items():
            line = dict(table=table, target_ms=problem.target_ms, reward=name)
            points = dict(best=problem.optima()[name], fixed=end)
            for where, point in points.items():
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


def fixed_table():
    """Ends after few and many samples, the fixed point, and the difference of the last two."""
    lines = read("fixed_points.csv")
    for table, w, reward in itertools.product(TABLES, WEIGHTS, PAIR):
        few, many = select(lines, table=table, entropy_weight=w, reward=reward)
        row = f"{table} | {w} | {reward}"
        for line, where in ((few, "end"), (many, "end"), (many, "fixed")):
            point = [value for name, value in line.items() if name.startswith(where)]
            row += " | {:.2f}%, {:.2f} ms ({:.0f}%; {:,.0f})".format(*point)
        pp = many["end.accuracy"] - many["fixed.accuracy"]
        ms = many["end.latency_ms"] - many["fixed.latency_ms"]
        yield f"{row} | {pp:+.2f} pp, {ms:+.2f} ms"


def draw_fixed(path, lines, benchmark):
    """Where searches end and where the fixed points are, over the entropy weight, per reward."""
    title = "Where searches end (dots), and the fixed points (stars), as the entropy weight grows"
    styles = {"fixed": ("*-", 26, "fixed points"), "end": ("o-", 12, "ends")}
    with figures.picture(path, title, columns=2, margins=dict(bottom=0.22)) as [panels]:
        for axes, n in zip(panels, LONG, strict=True):
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


# --- Each reward's best cell ------------------------------------------------------------------

REWARDS_COMPARED = {
    "MnasNet, w = -0.07": REWARDS["mnasnet"],
    "MnasNet, w = -0.10": functools.partial(REWARDS["mnasnet"], alpha=PROXYLESS, beta=PROXYLESS),
    "proposed, y = 0.1": REWARDS["proposed"],
    "TuNAS, beta = -0.07": REWARDS["tunas"],
    "MnasNet hard, 0 and -1": REWARDS["mnasnet_hard"],
}
SHARES = np.arange(0.05, 0.951, 0.05)  # of the cells that meet T


def optima(folder):
    """Each reward's best cell on every table at hand, for 19 targets each: reward_optima.csv."""
    latency = (folder or build_benchmark.CACHE) / "latency"
    devices = [name for name in build_benchmark.devices() if (latency / f"{name}.pt").exists()]
    names = ["surrogate", MODELLED, *devices]
    benchmarks = [table_of(name, folder) for name in names]
    cases = np.concatenate([optima_on(benchmark) for benchmark in tracked(benchmarks)])
    lines = []
    for k, reward in enumerate(REWARDS_COMPARED):
        line = dict(reward=reward) | optima_line(*cases[:, :, k].T)
        lines.append(line | dict(tables=" ".join(names)))
    write_csv("reward_optima.csv", lines)


def optima_on(benchmark):
    """A case per T > 1: each reward's best cell, whether it meets T, and how many points it is
    below the best cell under T, (cases, 2, rewards)."""
    cases = []
    for target_ms in np.quantile(benchmark.latency_ms, SHARES):
        if target_ms > 1:  # Eq. 4 needs it
            problem = Problem(benchmark, REWARDS_COMPARED, float(target_ms))
            best, *cells = problem.optima().values()
            meets = [cell["meets_target"] for cell in cells]
            lost = [100 * (best["accuracy"] - cell["accuracy"]) for cell in cells]
            cases.append((meets, lost))
    return cases


def optima_line(meets, lost):
    """The shares, in %, and the points lost where T is met, of cases (n,)."""
    gap = lost[meets == 1]
    return dict(
        cases=len(meets),
        feasible_pct=round(100 * meets.mean()),
        optimal_pct=round(100 * np.mean((meets == 1) & (lost == 0))),
        gap_median_pp=round(np.median(gap), 2),
        gap_p90_pp=round(np.quantile(gap, 0.9), 2),
    )


def optima_table():
    """Where each reward's best cell lies."""
    row = "{reward} | {feasible_pct}% | {optimal_pct}% | {gap_median_pp:.2f}, {gap_p90_pp:.2f}"
    yield from map(row.format_map, read("reward_optima.csv"))


def optima_made_on():
    """On how many cases and which tables."""
    line = read("reward_optima.csv")[0]
    names = line["tables"].split()
    return f"{line['cases']} cases on {len(names)} tables: {', '.join(names)}."


if __name__ == "__main__":
    main(__doc__, strength=strength, fixed=fixed, optima=optima, published=published.search)
