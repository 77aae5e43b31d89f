"""How much the conclusions depend on what the paper leaves open: hyperparameters and benchmark.

    python study/sensitivity.py hyperparameters --from DIR   the grid, on two tables; half an hour
    python study/sensitivity.py verdicts --from DIR          each claim on each table; 10 minutes

DIR holds the public tables, as data/README.md says; without --from they are downloaded. Times are
those of two free cores. Each command writes a CSV file beside this one, and from it the tables of
the page of the same name. Left out: any choice between the settings by what the claims do; the rule
of study/hyperparameters.md looks at none of them."""

import itertools
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import run_experiment  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
import numpy as np
from pages import markdown, read_csv, write_csv
from tables import STUDY, choose, fill

import nas_benchmark
from claims import evaluate_claims, key, range_95, whole_run_of
from command_line import run, tracked
from nas_reward import PAIR, T_MS, WINDOW
from nas_search import Problem, run_searches

MODELLED = "modelled"  # measured accuracies, the surrogate's latency
MODELLED_TOO = "modelled_1080ti_32"  # the same with another model of the latency


def table_of(name, folder):
    """The benchmark called `name`: the surrogate, or measured CIFAR-100 accuracy with a latency."""
    if name == "surrogate":
        return nas_benchmark.load(nas_benchmark.SURROGATE)
    return build_benchmark.build_tables(folder, name, "cifar100")


# --- Hyperparameters: the grid ----------------------------------------------------------------

GRID_SEEDS = range(100, 140)
GRID_TABLES = ("surrogate", MODELLED)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
ENTROPIES = (0.0, 0.001, 0.003, 0.005, 0.01, 0.03)
DECAYS = (None, 0.9, 0.95, 0.99)
UNFINISHED = build_benchmark.CACHE / "hyperparameters.csv"  # the lines so far, to go on from


def grid():
    """All configurations: every rate, entropy weight and baseline at H = 64; H = 32 and 128 too."""
    chosen = [(64, rate, decay) for decay in DECAYS for rate in RATES]
    chosen += [(hidden, 1e-3, 0.95) for hidden in (32, 128)]
    return [
        dict(hidden=hidden, learning_rate=rate, entropy_weight=entropy, baseline_decay=decay)
        for (hidden, rate, decay), entropy in itertools.product(chosen, ENTROPIES)
    ]


def hyperparameters(folder):
    """Search with every configuration on two tables; writes hyperparameters.csv, fills its page.

    After an interruption the command goes on where it stood."""
    lines = read_csv(UNFINISHED) if UNFINISHED.exists() else []
    todo = list(itertools.product(GRID_TABLES, grid()))
    for table, chosen in tracked(todo[len(lines) :]):
        problem = Problem(table_of(table, folder), PAIR, T_MS)
        runs = run_searches(problem, GRID_SEEDS, hyperparameters=chosen)
        lines.append(dict(table=table) | chosen | grid_line(runs))
        write_csv(UNFINISHED, lines)
    write_csv(STUDY / "hyperparameters.csv", lines)
    UNFINISHED.unlink()
    fill(STUDY / "hyperparameters.md", hyperparameter_tables())


def grid_line(runs):
    """How the searches with one configuration end, each claim, and the run as a whole."""
    line = {}
    for name in PAIR:
        last = runs.rows[name][:, -WINDOW:]  # (seeds, 250)
        reward = float(runs.problem.reward_tables[name][last].mean())
        line[f"{name}.last_reward"] = round(reward, 5)
        line[f"{name}.spread"] = round(spread(runs, name), 1)
    results = evaluate_claims(runs.points(), T_MS)
    for result in results:
        for column in ("min", "median", "max", "n_censored", "p", "verdict"):
            line[f"{key(result)}.{column}"] = result[column]
    whole = whole_run_of(results) or {}
    return line | {f"whole.{name}": value for name, value in whole.items()}


def spread(runs, reward):
    """Over how many networks the last policy spreads: exp of its entropy, the median over seeds."""
    return float(np.median(np.exp(runs.expected[reward]["entropy"][:, -1])))


# --- Hyperparameters: the tables --------------------------------------------------------------

SPREAD = 100  # networks, that a policy must still spread over after 5,000
RULE = dict(  # what the rule fixes, as the CSV file has it
    table=MODELLED, hidden="64", learning_rate="0.001", baseline_decay="0.95"
)


def hyperparameter_tables(folder=STUDY):
    """{marker: text} of the page's tables, from the CSV files in `folder`."""
    lines = read_csv(folder / "hyperparameters.csv")
    verdict_lines = read_csv(folder / "verdicts.csv")
    return {
        "rule": rule_table(lines),
        "shares": shares_table(lines, verdict_lines),
        "odds": odds_table(lines, verdict_lines),
    }


def candidates(lines):
    """The settings that the rule chooses from, by entropy weight."""
    return [line for line in lines if RULE.items() <= line.items()]


def spreads(line):
    """Over how many networks the policies of a setting spread, by reward."""
    return [float(line[f"{name}.spread"]) for name in PAIR]


def chosen(lines):
    """The setting that the rule chooses: the first whose policies all spread enough."""
    return next(line for line in candidates(lines) if min(spreads(line)) >= SPREAD)


def rule_table(lines):
    """The settings that the rule chooses from, and over how many networks each spreads."""
    rows = []
    for line in candidates(lines):
        mark = "yes" if min(spreads(line)) >= SPREAD else "no"
        if line is chosen(lines):
            mark = "**yes, and the smallest**"
        rows.append([line["entropy_weight"], *(f"{n:,.0f}" for n in spreads(line)), mark])
    header = ["entropy weight", *(f"networks, {name}" for name in PAIR)]
    return markdown([*header, f"at least {SPREAD}?"], rows)


def shares_table(lines, verdict_lines):
    """In how many settings of the grid each claim holds, on each table, with and without b."""
    columns = {}
    for table in GRID_TABLES:
        here = [line for line in lines if line["table"] == table]
        columns[f"{table}, with b"] = [line for line in here if line["baseline_decay"]]
        columns[f"{table}, without"] = [line for line in here if not line["baseline_decay"]]
    rows = []
    for claim, text in judged(verdict_lines).items():
        row = [text]
        for column in columns.values():
            row.append(share([line[f"{claim}.verdict"] for line in column]))
        rows.append(row)
    return markdown(["claim", *columns], rows)


def judged(verdict_lines):
    """{claim: its text} of the claims that have a verdict."""
    return {line["claim"]: line["text"] for line in verdict_lines if line["verdict"] != "no claim"}


def share(verdicts):
    """How often a claim holds: "60 of 63", and how often it is the opposite."""
    good = verdicts.count("holds") + verdicts.count("inside")
    text = f"{good} of {len(verdicts)}"
    opposite = verdicts.count("opposite")
    return text + (f" ({opposite} opposite)" if opposite else "")


def odds_table(lines, verdict_lines):
    """The odds of 50-60 to 60-70 % under T: the paper's, of uniform draws, and over the grid."""
    measured = {line["claim"]: line for line in verdict_lines if line["table"] == MODELLED}
    rows = []
    for name in PAIR:
        few, more = f"fig6_50_60.{name}", f"fig6_60_70.{name}"
        odds = [
            float(measured[few][column]) / float(measured[more][column])
            for column in ("paper", "random")
        ]
        medians = [float(line[f"{few}.median"]) / float(line[f"{more}.median"]) for line in lines]
        rows.append([name, *(f"{value:.2f}" for value in (*odds, max(medians)))])
    header = ["", "the paper", "uniform draws", "the highest of all settings, medians"]
    return markdown(header, rows)


# --- Verdicts: the searches -------------------------------------------------------------------

SEEDS = range(run_experiment.SEEDS)
KEPT = ["text", "kind", "paper", "median", "censoring", "p", "random", "n_censored", "verdict"]
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
    """Search on every table with every target; writes verdicts.csv, fills its page."""
    todo = [(table, target) for table, targets in TARGETS.items() for target in targets]
    lines = []
    for table, target in tracked(todo):
        benchmark = table_of(table, folder)
        target_ms = float(target)
        if target < 1:
            target_ms = float(np.quantile(benchmark.latency_ms, target))
        problem = Problem(benchmark, PAIR, target_ms)
        results = evaluate_claims(run_searches(problem, SEEDS).points(), target_ms)
        lines += [
            dict(table=table) | problem_line(problem) | claim_line(result) for result in results
        ]
    write_csv(STUDY / "verdicts.csv", lines)
    fill(STUDY / "verdicts.md", verdict_tables())


def problem_line(problem):
    """T, how many cells meet it, and both rewards' best cells."""
    line = dict(
        target_ms=round(problem.target_ms, 2),
        cells_under_target=round(float(problem.under.mean()), 3),
    )
    optima = problem.optima()
    for name in PAIR:
        line[f"optimum of {name}, ms"] = round(optima[name]["latency_ms"], 2)
        line[f"optimum of {name}, %"] = round(100 * optima[name]["accuracy"], 2)
    return line


def claim_line(result):
    """A claim's result, with the range of 95 % of single runs."""
    values = result["per_seed"]
    low, high = range_95(values) if values else (None, None)
    return dict(claim=key(result), q025=low, q975=high) | {name: result[name] for name in KEPT}


# --- Verdicts: the table ----------------------------------------------------------------------

DIRECTIONS = {  # in the order of the CSV file
    "fig6_under_T.sign": "more under T",
    "fig6_50_60.sign": "more of 50-60 %",
    "fig6_60_70.sign": "more of 60-70 %",
    "fig7_stays_under.sign": "sooner",
}


def verdict_tables(folder=STUDY):
    """{marker: text} of the page's table, from the CSV file in `folder`."""
    lines = read_csv(folder / "verdicts.csv")
    return {"directions": f"{directions_table(lines)}\n\n{everywhere(lines)}"}


def directions_table(lines):
    """Per table and target: both optima, and the verdict of each direction."""
    verdicts = {}
    for line in lines:
        if line["claim"] in DIRECTIONS:
            optima = " / ".join(line[f"optimum of {name}, ms"] for name in PAIR)
            problem = (line["table"], line["target_ms"], optima)
            verdicts.setdefault(problem, []).append(line["verdict"])
    header = ["table", "T, ms", "optima, ms: mnasnet / proposed", *DIRECTIONS.values()]
    return markdown(header, [[*problem, *found] for problem, found in verdicts.items()])


def everywhere(lines):
    """The claims with one verdict on all tables and targets, as a list."""
    items = []
    for claim, text in judged(lines).items():
        found = [line["verdict"] for line in lines if line["claim"] == claim]
        found = [verdict for verdict in found if verdict != "not comparable"]  # at another T
        if len(set(found)) == 1:
            items.append(f'- "{text}": {found[0]} on all {len(found)} lines')
    return "\n".join(items)


# --- Command line -----------------------------------------------------------------------------


def command(argv):
    """Run the command that `argv` names."""
    commands = {"hyperparameters": hyperparameters, "verdicts": verdicts}
    choose(argv, "Search with many settings, and on many tables.", commands)


if __name__ == "__main__":
    sys.exit(run(command, sys.argv[1:]))
