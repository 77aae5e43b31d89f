"""Beyond the paper: the runs behind study/beyond.md, which shows and explains them.

    python study/beyond.py strength --from DIR     form against strength; 5 minutes on two cores
    python study/beyond.py asks --from DIR         what each reward asks for; seconds
    python study/beyond.py published --from DIR    a published number, run again; 2 minutes
    python study/beyond.py check                   the page is what the CSV files say; at once

DIR holds the public tables, as data/README.md says; without --from they are downloaded. Each
command writes a CSV file beside the page, and from it the page's tables (`strength`, the picture
as well). What stands between the tables is written by hand; `check` looks its numbers up in them.

    name      meaning                                                        unit
    form      how a reward joins ACC and LAT: MnasNet's, or the proposed
    w         exponent of MnasNet's form, alpha = beta = w                   the paper: -0.07
    x, y      weights of the proposed form, x = 1 - y                        the paper: y = 0.1
    price     accuracy that one ms is worth, at LAT = T                      1 / ms
    strength  the price; a w and a y of the same price are a pair
    scale     what a point of accuracy earns at LAT = T: 1, or x
    end       what the last policy of a search draws: mean accuracy, mean    %, ms, %
              latency, share under T; exact, not sampled

Left out: which strength is right. That is for the user to say; no search can."""

import functools
import math
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
import published as protocol
from pages import between, markdown, read_csv, replace, write_csv
from sensitivity import MODELLED, table_of

import figures
from command_line import Parser, UserError, atomic_output, progress, run
from nas_reward import ALPHA, PAIR, REWARDS, SAMPLES, T_MS, Y, equal_strength, mnasnet, proposed
from nas_search import HYPERPARAMETERS, Problem, run_searches

DOCS = Path(__file__).resolve().parent
PROXYLESS = -0.10  # ProxylessNAS's exponent (Cai et al. 2019; their code)


# --- Strength: the searches -------------------------------------------------------------------

TARGETS_MS = {  # table -> T; for titan_rtx_256, a T of HELP's Table 4
    "surrogate": T_MS,
    MODELLED: T_MS,
    "1080ti_256": 25.5,
    "titan_rtx_256": 18.0,
    "pixel3": T_MS,
}
SEEDS = range(20)
SWEEP = (  # each fixes the strength of one form; that of the other follows
    ("y", 0.03),
    ("w", ALPHA),  # the paper's MnasNet
    ("w", PROXYLESS),
    ("y", Y),  # the paper's own
    ("y", 0.14),
    ("y", 0.20),
)
MNASNET_SETTING = SWEEP.index(("w", ALPHA))
PAPER_SETTING = SWEEP.index(("y", Y))
END = ("accuracy", "latency_ms", "under")
OPTIMUM = "optimum"  # in the place of a seed: the reward's best cell of all


def y_of_equal_strength(w, accuracy, target_ms):
    """The proposed reward's y with the price of MnasNet's exponent w: the inverse."""
    y_by_x = -w * accuracy * math.log(target_ms) / 2
    return y_by_x / (1 + y_by_x)


def strengths(benchmark, target_ms):
    """The pairs (w, y) of SWEEP on a benchmark, where ACC is that of the best cell under T."""
    accuracy = float(benchmark.accuracy[benchmark.latency_ms <= target_ms].max())
    pairs = []
    for name, value in SWEEP:
        w = y = value
        if name == "w":
            y = y_of_equal_strength(w, accuracy, target_ms)
        else:
            w = equal_strength(y, accuracy, target_ms)
        pairs.append((w, y))
    return pairs


def proposed_by_x(accuracy, latency_ms, target_ms, y):
    """R / x = ACC + (y / x) L: Eq. 5 at MnasNet's scale. It prefers the same networks.

    An entropy bonus weighs more beside a smaller reward; so without this, scale would pass for
    form."""
    x = 1 - y
    return proposed(accuracy, latency_ms, target_ms, x, y) / x


def strength_problem(benchmark, target_ms):
    """The Problem with two rewards per pair, called (form, number of the pair), and the paper's."""
    rewards = {("paper", PAPER_SETTING): REWARDS["proposed"]}
    for k, (w, y) in enumerate(strengths(benchmark, target_ms)):
        rewards["mnasnet", k] = functools.partial(mnasnet, alpha=w, beta=w)
        rewards["proposed", k] = functools.partial(proposed_by_x, y=y)
    return Problem(benchmark, rewards, target_ms)


def strength(folder, seeds=SEEDS, samples=SAMPLES, out=DOCS):
    """Search with both forms at every strength on every table; writes to the folder `out`."""
    benchmarks = {table: table_of(table, folder) for table in TARGETS_MS}
    lines = []
    total = len(TARGETS_MS) * samples
    start = time.perf_counter()
    for number, (table, benchmark) in enumerate(benchmarks.items()):
        on_window = functools.partial(report, number * samples, total, start)
        problem = strength_problem(benchmark, TARGETS_MS[table])
        lines += strength_lines(table, run_searches(problem, seeds, samples, on_window=on_window))
    write_csv(out / "strength.csv", lines)
    with atomic_output(out) as unfinished:
        draw_strength(unfinished / "strength.png", read_pairs(out), benchmarks)
    fill(out, strength_tables(out))


def report(before, total, start, _, drawn):
    """The progress of a search that `before` networks were drawn ahead of."""
    progress(before + drawn, total, time.perf_counter() - start)


def strength_lines(table, runs):
    """Where each search ended, and each reward's optimum: dicts for the CSV file."""
    problem = runs.problem
    optima = problem.optima()
    pairs = strengths(problem.benchmark, problem.target_ms)
    lines = []
    for form, k in problem.reward_tables:
        w, y = pairs[k]
        common = dict(table=table, pair=k, w=round(w, 4), y=round(y, 4), form=form)
        best = optima[form, k]
        ends = {OPTIMUM: (best["accuracy"], best["latency_ms"], best["meets_target"])}
        ends |= dict(zip(runs.seeds, last_of(runs.expected[form, k]), strict=True))
        for seed, (accuracy, latency_ms, under) in ends.items():
            end = dict(
                seed=seed,
                accuracy=round(100 * float(accuracy), 3),
                latency_ms=round(float(latency_ms), 3),
                under=round(100 * float(under), 1),
            )
            lines.append(common | end)
    return lines


def last_of(expected):
    """(seeds, 3): what each last policy is expected to draw, accuracy and share in 0..1."""
    names = ("accuracy", "latency_ms", "p_under_target")
    return np.stack([expected[name][:, -1] for name in names], axis=1)


# --- Strength: the tables ---------------------------------------------------------------------


@dataclass
class Pair:
    """Where both forms end at one strength on one table; at PAPER_SETTING, the paper's reward too.

    ends    {form or "paper": (seeds, 3)}: END of each search
    optima  {form or "paper": (3,)}: END of the reward's best cell"""

    w: float
    y: float
    ends: dict = field(default_factory=dict)
    optima: dict = field(default_factory=dict)

    def middle(self, form):
        """(3,): the median over seeds."""
        return np.median(self.ends[form], axis=0)


def read_pairs(out=DOCS):
    """{table: its pairs, in the order of SWEEP} in strength.csv."""
    tables = {}
    for line in read_csv(out / "strength.csv"):
        pairs = tables.setdefault(line["table"], {})
        new = Pair(float(line["w"]), float(line["y"]))
        pair = pairs.setdefault(int(line["pair"]), new)
        end = np.array([float(line[name]) for name in END])
        if line["seed"] == OPTIMUM:
            pair.optima[line["form"]] = end
        else:
            pair.ends.setdefault(line["form"], []).append(end)
    return {table: [pairs[k] for k in sorted(pairs)] for table, pairs in tables.items()}


def strength_tables(out=DOCS):
    """{marker: text} of what `strength` writes to the page."""
    tables = read_pairs(out)
    seeds = len(next(iter(tables.values()))[PAPER_SETTING].ends["paper"])
    made_on = f"{seeds} seeds, {SAMPLES:,} networks each; {settings()}."
    return {
        "settings": f"{settings_table(tables)}\n\n{made_on}",
        "apart": apart_table(tables),
        "reach": reach_table(tables),
        "prices": prices_table(),
        "strengths": f"{strengths_table(tables)}\n\n{made_on}",
    }


def settings_table(tables):
    """Where the searches end with the paper's two settings, and each reward's own optimum."""
    rows = []
    for table, pairs in tables.items():
        row = [table, f"{TARGETS_MS[table]:g}"]
        for form, pair in paper_settings(pairs):
            row.append("{:.2f} %, {:.2f} ms".format(*pair.optima[form]))
            row.append(END_TEXT.format(*pair.middle(form)))
        rows.append(row)
    header = ["table", "T, ms"]
    for title in ("MnasNet, w = -0.07", "proposed, y = 0.1"):
        header += [f"{title}: optimum", "ends at (share under T)"]
    return markdown(header, rows)


def apart_table(tables):
    """How far apart the paper's two settings end, and what of it is strength, scale and form."""
    rows = []
    for table, pairs in tables.items():
        soft = pairs[MNASNET_SETTING].ends  # w = -0.07, and the y of equal strength
        own = pairs[PAPER_SETTING].ends  # y = 0.1, and the w of equal strength
        differences = (  # (seeds, 3) each
            np.subtract(own["paper"], soft["mnasnet"]),
            np.subtract(own["mnasnet"], soft["mnasnet"]),
            np.subtract(own["paper"], own["proposed"]),
            np.subtract(own["proposed"], own["mnasnet"]),
            np.subtract(soft["proposed"], soft["mnasnet"]),
        )
        for column, unit in ((1, "ms"), (0, "points")):
            rows.append([table, unit, *(spread(values[:, column]) for values in differences)])
    header = ["table", "unit", "apart, proposed less MnasNet", "by strength", "by scale"]
    return markdown([*header, "by form", "by form, at the strength of w = -0.07"], rows)


def reach_table(tables):
    """Over which latencies the same range of prices moves the end of either form."""
    rows = []
    for table, pairs in tables.items():
        ordered = by_strength(pairs)
        row = [table, f"{TARGETS_MS[table]:g}"]
        for form in PAIR:
            weak = ordered[0].middle(form)
            strong = ordered[-1].middle(form)
            row.append(f"{weak[1]:.1f} to {strong[1]:.1f} ms")
        rows.append(row)
    return markdown(["table", "T, ms", "MnasNet's form", "proposed form"], rows)


def prices_table():
    """The w whose strength is that of the paper's y, over T, at ACC = 72 %."""
    targets = (4, 10, 17, 25.5, 50, 100)
    values = [f"{equal_strength(Y, 0.72, target):.3f}" for target in targets]
    return markdown(["T, ms", *map(str, targets)], [["w", *values]])


def strengths_table(tables):
    """Both forms at every strength and at one scale: where they end, and how far apart."""
    rows = []
    for table, pairs in tables.items():
        for pair in by_strength(pairs):
            apart = np.subtract(pair.ends["proposed"], pair.ends["mnasnet"])  # (seeds, 3)
            row = [table, f"{pair.w:.3f}", f"{pair.y:.3f}"]
            row += [END_TEXT.format(*pair.middle(form)) for form in PAIR]
            row += [spread(apart[:, 1]), spread(apart[:, 0])]
            rows.append(row)
    header = ["table", "w", "y", "MnasNet's form ends at", "R / x ends at"]
    return markdown([*header, "apart, ms", "apart, points"], rows)


END_TEXT = "{:.2f} %, {:.2f} ms ({:.0f} %)"


def by_strength(pairs):
    """The pairs, the weakest first."""
    return sorted(pairs, key=lambda pair: pair.y)


def spread(values):
    """The median of values (seeds,) and the range of 95 % of them."""
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return f"{middle:+.2f} [{low:+.2f}, {high:+.2f}]"


# --- Strength: the picture --------------------------------------------------------------------

PANELS = (MODELLED, "titan_rtx_256", "pixel3")


def draw_strength(path, tables, benchmarks):
    """study/strength.png: where the searches end as the strength grows, one panel per table."""
    title = "Where searches end, as a millisecond is priced ever higher"
    margins = dict(bottom=0.26, top=0.80, wspace=0.2)
    layout = dict(columns=len(PANELS), margins=margins, sharey=False)
    with figures.picture(path, title, **layout) as [panels]:
        for axes, table in zip(panels, PANELS, strict=True):
            figures.draw_cells(axes, benchmarks[table])
            axes.axvline(TARGETS_MS[table], color="black", ls="--", lw=2)
            draw_ends(axes, tables[table])
            axes.set(title=panel_title(table, tables[table]), xlabel="latency (ms)")
        panels[0].set_ylabel("accuracy (%)")
        handles = panels[0].get_legend_handles_labels()
        panels[0].figure.legend(*handles, loc="lower center", ncols=3)


def draw_ends(axes, pairs):
    """Per form the curve of ends; the paper's settings as large dots, their optima as crosses."""
    curves = [np.array([pair.middle(form) for pair in by_strength(pairs)]) for form in PAIR]
    for one, other in zip(*curves, strict=True):  # (3,) each
        axes.plot([one[1], other[1]], [one[0], other[0]], ls=":", color="black", lw=2.5)
    axes.lines[-1].set_label("equal strength")
    axes.plot([], [], "x", color="black", ms=18, mew=5, label="best cell for a large dot")
    seen = [*curves]
    marked = paper_settings(pairs)
    for form, curve, (own, pair) in zip(PAIR, curves, marked, strict=True):
        tint = figures.palette(PAIR)[form]
        seeds = np.array(pair.ends[own])  # (seeds, 3)
        dot = pair.middle(own)
        cross = pair.optima[own]
        axes.plot(seeds[:, 1], seeds[:, 0], ".", color=tint, alpha=0.5)
        axes.plot(curve[:, 1], curve[:, 0], "o-", color=tint, ms=7, label=FORMS[form])
        axes.plot(dot[1], dot[0], "o", color=tint, ms=20, mec="white", label=PAPERS[form])
        axes.plot(cross[1], cross[0], "x", color=tint, ms=CROSS[form], mew=5)
        seen += [[dot, cross]]
    accuracy, latency_ms, _ = np.concatenate(seen).T
    axes.set(xlim=around(latency_ms), ylim=around(accuracy))


def around(values):
    """Limits that show the values (n,), and a tenth more on either side."""
    margin = 0.1 * np.ptp(values)
    return values.min() - margin, values.max() + margin


def paper_settings(pairs):
    """(what its ends are called, the pair) of the paper's two rewards."""
    return ("mnasnet", pairs[MNASNET_SETTING]), ("paper", pairs[PAPER_SETTING])


FORMS = {"mnasnet": "MnasNet's form", "proposed": "the proposed form"}
CROSS = {"mnasnet": 24, "proposed": 14}  # both show where both are on one cell
PAPERS = {"mnasnet": "the paper's w = -0.07", "proposed": "the paper's y = 0.1"}


def panel_title(table, pairs):
    """The table, and how far apart both forms end at the strength of the paper's reward."""
    ends = pairs[PAPER_SETTING].ends
    apart = np.subtract(ends["proposed"], ends["mnasnet"])[:, 1]  # (seeds,), ms
    distance = abs(np.median(apart))
    return f"{table}, T = {TARGETS_MS[table]:g} ms\nequal strength: {distance:.1f} ms apart"


# --- What each reward asks for ----------------------------------------------------------------

REWARDS_COMPARED = {
    "MnasNet, w = -0.07": REWARDS["mnasnet"],
    "MnasNet, w = -0.10": functools.partial(mnasnet, alpha=PROXYLESS, beta=PROXYLESS),
    "proposed, y = 0.1": REWARDS["proposed"],
    "TuNAS, beta = -0.07": REWARDS["tunas"],
    "MnasNet hard, 0 and -1": REWARDS["mnasnet_hard"],
}
SHARES = np.arange(0.05, 0.951, 0.05)  # of the cells that meet T


def asks(folder, out=DOCS):
    """Each reward's best cell on every table at hand, for 19 targets each; writes to `out`."""
    names = tables_at_hand(folder)
    found = {name: [] for name in REWARDS_COMPARED}
    start = time.perf_counter()
    for done, table in enumerate(names, 1):
        for name, cases in asked_on(table_of(table, folder)).items():
            found[name] += cases
        progress(done, len(names), time.perf_counter() - start)
    lines = [dict(reward=name) | asked_line(np.array(found[name])) for name in REWARDS_COMPARED]
    for line in lines:
        line["tables"] = " ".join(names)
    write_csv(out / "asks.csv", lines)
    fill(out, asks_tables(out))


def tables_at_hand(folder):
    """The surrogate, measured accuracies with modelled latency, and the devices in the folder."""
    latency = (folder or build_benchmark.CACHE) / "latency"
    devices = [name for name in build_benchmark.devices() if (latency / f"{name}.pt").exists()]
    return ["surrogate", MODELLED, *devices]


def asked_on(benchmark):
    """{reward: a list of (meets T, is the best cell under T, points below it)}, one per T > 1."""
    found = {name: [] for name in REWARDS_COMPARED}
    for target_ms in np.quantile(benchmark.latency_ms, SHARES):
        if target_ms > 1:  # Eq. 4 needs it
            optima = Problem(benchmark, REWARDS_COMPARED, float(target_ms)).optima()
            best = optima["best_under_T"]["accuracy"]
            for name in REWARDS_COMPARED:
                below = best - optima[name]["accuracy"]
                meets = optima[name]["meets_target"]
                found[name].append((meets, meets and below == 0, 100 * below))
    return found


def asked_line(cases):
    """The shares, in %, and the points lost where T is met, of cases (n, 3)."""
    lost = cases[cases[:, 0] == 1, 2]
    return dict(
        cases=len(cases),
        meets=round(100 * cases[:, 0].mean()),
        best=round(100 * cases[:, 1].mean()),
        lost=round(np.median(lost), 2),
        lost_90=round(np.quantile(lost, 0.9), 2),
    )


def asks_tables(out=DOCS):
    """{marker: text} of what `asks` writes to the page."""
    lines = read_csv(out / "asks.csv")
    rows = []
    for line in lines:
        shares = [f"{line['meets']} %", f"{line['best']} %"]
        lost = f"{float(line['lost']):.2f}, {float(line['lost_90']):.2f}"
        rows.append([line["reward"], *shares, lost])
    header = ["reward", "its best cell meets T", "and is the best that does"]
    text = markdown([*header, "points lost where it meets T: median, 90 %"], rows)
    cases = lines[0]["cases"]
    tables = lines[0]["tables"].split()
    return {"asks": f"{text}\n\n{cases} cases on {len(tables)} tables: {', '.join(tables)}."}


# --- A published number -----------------------------------------------------------------------


def published(folder, seeds=protocol.SEEDS, out=DOCS):
    """NAS-Bench-201's protocol with random search and our controllers; writes to `out`."""
    write_csv(out / "published.csv", protocol.runs_of(protocol.load(folder), seeds))
    fill(out, published_tables(out))


def published_tables(out=DOCS):
    """{marker: text} of what `published` writes to the page."""
    lines = read_csv(out / "published.csv")
    made_on = f"{lines[0]['runs']} seeds; {settings()}, unless another rate is given."
    return {
        "results": f"{protocol.results_table(lines)}\n\n{made_on}",
        "gains": protocol.gains_table(lines),
        "differences": protocol.differences_table(lines),
        "rates": protocol.rates_table(lines),
    }


# --- The page ---------------------------------------------------------------------------------

MAKERS = {
    "strength": strength_tables,
    "asks": asks_tables,
    "published": published_tables,
}


def settings():
    """The hyperparameters of all searches, in words."""
    words = [f"{name} {value}" for name, value in HYPERPARAMETERS.items()]
    return ", ".join(words).replace("_", " ")


def fill(out, tables):
    """Put the tables {marker: text} into the page in the folder `out`."""
    for marker, text in tables.items():
        replace(out / "beyond.md", marker, text)


KNOWN = ("0.9",)  # the paper's x; all other numbers come from runs


def check(out=DOCS):
    """UserError if a table of the page is not what its CSV file says, or a number in its prose
    stands in no table."""
    page = out / "beyond.md"
    prose = page.read_text(encoding="utf-8")
    shown = ""
    for command, maker in MAKERS.items():
        for marker, text in maker(out).items():
            if between(page, marker) != text + "\n":
                raise UserError(f"{page}: '{marker}' is old; run study/beyond.py {command}")
            prose = prose.replace(text, "")
            shown += text
    known = {*numbers(shown), *KNOWN}
    prose = re.sub(r"`[^`]*`", "", prose)  # formulas
    unknown = [number for number in numbers(prose) if number not in known]
    if unknown:
        raise UserError(f"{page}: {', '.join(unknown)} in the prose, but in no table")


def numbers(text):
    """The results in a text: numbers with a decimal point, and whole percents."""
    return re.findall(r"\d[\d,]*\.\d+|\d+(?= %)", text)


# --- Command line -----------------------------------------------------------------------------

COMMANDS = {"strength": strength, "asks": asks, "published": published}


def command(argv):
    """Run the command that `argv` names."""
    parser = Parser(description="Make and check study/beyond.md.")
    parser.add_argument("command", choices=[*COMMANDS, "check"])
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="public tables")
    args = parser.parse_args(argv)
    if args.command == "check":
        check()
    else:
        COMMANDS[args.command](args.folder)


if __name__ == "__main__":
    sys.exit(run(command, sys.argv[1:]))
