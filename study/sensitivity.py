"""How much the conclusions depend on what the paper leaves open: hyperparameters and benchmark.

    hyperparameters(folder)    the grid, on the surrogate and on measured accuracies
    verdicts(folder)           every claim on every table and target

Both return lines, dicts that docs/make_docs.py writes as CSV files; the functions below each make
Markdown tables of such a file's lines. `folder` holds the public tables; None downloads them."""

import itertools
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
from pages import markdown

import nas_benchmark
from claims import evaluate_claims, key, range_95
from command_line import progress
from nas_reward import PAIR, T_MS, WINDOW
from nas_search import HYPERPARAMETERS, Problem, run_searches

MODELLED = "modelled"  # measured accuracies, the surrogate's latency
MODELLED_TOO = "modelled_1080ti_32"  # the same with another model of the latency


def made_up_texts():
    """{claim's key: its text}, of the rewards that the paper compares."""
    points = {name: (np.zeros((1, 1)), np.ones((1, 1))) for name in PAIR}
    return {key(result): result["text"] for result in evaluate_claims(points, T_MS)}


TEXTS = made_up_texts()


# --- Searches ---------------------------------------------------------------------------------


def judged(problem, seeds, hyperparameters=HYPERPARAMETERS):
    """(runs, claims) of a problem's searches."""
    runs = run_searches(problem, seeds, hyperparameters=hyperparameters)
    return runs, evaluate_claims(runs.points(), problem.target_ms)


def table_of(name, folder):
    """The benchmark called `name`: the surrogate, or measured CIFAR-100 accuracy with a latency."""
    if name == "surrogate":
        return nas_benchmark.load(nas_benchmark.SURROGATE)
    return build_benchmark.build_tables(folder, name, "cifar100")


# --- Hyperparameters --------------------------------------------------------------------------

GRID_SEEDS = range(100, 108)
GRID_TABLES = ("surrogate", MODELLED)
RATES = (3e-4, 1e-3, 3e-3)
ENTROPIES = (0.0, 0.001, 0.003, 0.005, 0.01, 0.03)
DECAYS = (None, 0.9, 0.95, 0.99)
SPREAD = 100  # networks, that a policy must still spread over after 5,000


def grid():
    """All settings: every rate, entropy weight and baseline at H = 64; other H at decay 0.95."""
    sizes = [(64, decay) for decay in DECAYS] + [(32, 0.95), (128, 0.95)]
    return [
        dict(
            hidden=hidden,
            learning_rate=rate,
            entropy_weight=entropy,
            baseline_decay=decay,
        )
        for (hidden, decay), rate, entropy in itertools.product(sizes, RATES, ENTROPIES)
    ]


def inside(result):
    """The verdict of one claim with the grid's few seeds.

    A value: whether the paper's lies in the range of our runs. A sign: the verdict as always."""
    if result["kind"] == "sign" or result["paper"] is None:
        return result["verdict"]
    if result["median"] is None:
        return "not testable"
    return "inside" if result["min"] <= result["paper"] <= result["max"] else "outside"


def spread(runs, reward):
    """Over how many networks the last policy spreads: exp of its entropy, the median over seeds."""
    return float(np.median(np.exp(runs.expected[reward]["entropy"][:, -1])))


def hyperparameters(folder):
    """A line per table and setting: how the searches end, and each claim."""
    lines = []
    start = time.perf_counter()
    todo = list(itertools.product(GRID_TABLES, grid()))
    for table, setting in todo:
        problem = Problem(table_of(table, folder), PAIR, T_MS)
        runs, entries = judged(problem, GRID_SEEDS, setting)
        line = dict(table=table) | setting
        for name in PAIR:
            last = runs.rows[name][:, -WINDOW:]  # (seeds, 250)
            reward = float(problem.reward_tables[name][last].mean())
            line[f"{name}.last_reward"] = round(reward, 5)
            line[f"{name}.spread"] = round(spread(runs, name), 1)
        for e in entries:
            line[f"{key(e)}.median"] = e["median"]
            line[f"{key(e)}.verdict"] = inside(e)
        lines.append(line)
        progress(len(lines), len(todo), time.perf_counter() - start)
    return lines


def rule_table(lines):
    """The settings that the rule chooses from, and over how many networks each spreads."""
    rows = []
    chosen = None
    for line in lines:
        candidate = (
            line["table"] == MODELLED
            and line["hidden"] == "64"
            and line["learning_rate"] == "0.001"
            and line["baseline_decay"] == "0.95"
        )
        if candidate:
            spreads = [float(line[f"{name}.spread"]) for name in PAIR]
            enough = min(spreads) >= SPREAD
            first = enough and chosen is None
            if first:
                chosen = float(line["entropy_weight"])
            mark = "**yes, and the smallest**" if first else "yes" if enough else "no"
            rows.append([line["entropy_weight"], *(f"{n:,.0f}" for n in spreads), mark])
    if chosen != HYPERPARAMETERS["entropy_weight"]:
        text = f"the rule chooses an entropy weight of {chosen}, not the program's"
        print(text, file=sys.stderr)
    header = ["entropy weight", "networks, mnasnet", "networks, proposed"]
    header.append(f"at least {SPREAD}?")
    return markdown(header, rows)


def shares_table(lines):
    """In how many settings of the grid each claim holds, on each table, with and without b."""
    rows = []
    for claim in claims_of(lines):
        row = [TEXTS[claim]]
        for table in GRID_TABLES:
            for no_baseline in (False, True):
                here = [
                    line
                    for line in lines
                    if line["table"] == table and (line["baseline_decay"] == "") == no_baseline
                ]
                row.append(share([line[f"{claim}.verdict"] for line in here]))
        rows.append(row)
    header = ["claim"]
    for table in GRID_TABLES:
        header += [f"{table}, with b", f"{table}, without"]
    return markdown(header, rows)


def share(verdicts):
    """How often a claim holds: "60 of 63", and how often it is the opposite."""
    good = verdicts.count("holds") + verdicts.count("inside")
    text = f"{good} of {len(verdicts)}"
    opposite = verdicts.count("opposite")
    return text + (f" ({opposite} opposite)" if opposite else "")


def claims_of(lines):
    """The claims that were judged, in order."""
    ends = ".verdict"
    return [
        column.removesuffix(ends)
        for column, value in lines[0].items()
        if column.endswith(ends) and value != "no claim"
    ]


def is_inside(line, claim):
    """Whether the paper's number lies in the range of a setting's runs."""
    return line[f"{claim}.verdict"] == "inside"


def calibration_table(lines):
    """Which settings could have given the paper's MnasNet run, and what they say of the other."""
    baseline = [
        "fig6_50_60.mnasnet",
        "fig6_60_70.mnasnet",
        "fig7_stays_under.mnasnet",
    ]
    papers = dict(zip(baseline, ("659", "781", "4,750"), strict=True))
    other = [name.replace("mnasnet", "proposed") for name in baseline]
    rows = []
    for table in GRID_TABLES:
        here = [line for line in lines if line["table"] == table]
        for needed in (baseline[:1], baseline[1:2], baseline[2:], baseline[1:], baseline):
            kept = [line for line in here if all(is_inside(line, c) for c in needed)]
            found = [sum(is_inside(line, c) for line in kept) for c in other]
            names = ", ".join(papers[c] for c in needed)
            rows.append([table, names, f"{len(kept)} of {len(here)}", *found])
    header = ["table", "inside the range", "settings kept"]
    header += ["of these, 780 inside", "1,004 inside", "4,000 inside"]
    return markdown(header, rows)


# --- Verdicts ---------------------------------------------------------------------------------

SEEDS = range(run_experiment.SEEDS)
KEPT = (  # of a claim's result
    "text",
    "kind",
    "paper",
    "median",
    "censoring",
    "p",
    "random",
    "n_censored",
    "verdict",
)
# table -> its targets: in ms, or below 1 the share of cells that meet T. HELP publishes targets
# for three devices (its Table 4).
TARGETS = {
    "surrogate": (17,),
    MODELLED: (17,),
    MODELLED_TOO: (17,),
    "1080ti_256": (17, 0.75),
    "titan_rtx_256": (17, 18, 21, 25),
    "1080ti_32": (17, 0.75),
    "pixel3": (17, 0.75),
    "raspi4": (17, 0.75),
    "eyeriss": (17, 5, 7, 9),
    "fpga": (17, 4, 5, 6),
}


def verdicts(folder):
    """A line per table, target and claim."""
    lines = []
    todo = [(table, target) for table, targets in TARGETS.items() for target in targets]
    start = time.perf_counter()
    for done, (table, target) in enumerate(todo, 1):
        benchmark = table_of(table, folder)
        target_ms = float(target)
        if target < 1:
            target_ms = float(np.quantile(benchmark.latency_ms, target))
        problem = Problem(benchmark, PAIR, target_ms)
        optima = problem.optima()
        _, entries = judged(problem, SEEDS)
        for e in entries:
            line = dict(
                table=table,
                target_ms=round(target_ms, 2),
                cells_under_target=round(float(problem.under.mean()), 3),
            )
            for name in PAIR:
                line[f"optimum of {name}, ms"] = round(optima[name]["latency_ms"], 2)
                line[f"optimum of {name}, %"] = round(100 * optima[name]["accuracy"], 2)
            line["claim"] = key(e)
            line["q025"], line["q975"] = range_95(e["per_seed"]) if e["per_seed"] else (None, None)
            lines.append(line | {name: e[name] for name in KEPT})
        progress(done, len(todo), time.perf_counter() - start)
    return lines


SHORT = {
    "fig6_under_T.sign": "more under T",
    "fig6_50_60.sign": "more of 50-60 %",
    "fig6_60_70.sign": "more of 60-70 %",
    "fig7_stays_under.sign": "sooner",
}


def by_problem(lines):
    """{(table, T, both optima in ms): {claim: its line}}, in order."""
    problems = {}
    for line in lines:
        optima = " / ".join(line[f"optimum of {name}, ms"] for name in PAIR)
        claims = problems.setdefault((line["table"], line["target_ms"], optima), {})
        claims[line["claim"]] = line
    return problems


def directions_table(lines):
    """Per table and target: both optima, and the verdict of each direction."""
    rows = []
    for (table, target_ms, optima), claims in by_problem(lines).items():
        found = [claims[name]["verdict"] for name in SHORT]
        rows.append([table, target_ms, optima, *found])
    header = ["table", "T, ms", "optima, ms: mnasnet / proposed", *SHORT.values()]
    return markdown(header, rows)


def tallies_table(lines):
    """Per claim: on how many of the lines it has which verdict."""
    problems = list(by_problem(lines).values())
    rows = []
    for claim, first in problems[0].items():
        if first["verdict"] != "no claim":
            found = [claims[claim]["verdict"] for claims in problems]
            counts = ", ".join(f"{found.count(v)} {v}" for v in sorted(set(found)))
            rows.append([first["text"], first["paper"], counts])
    return markdown(["claim", "paper", f"verdicts on the {len(problems)} lines"], rows)
