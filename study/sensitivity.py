"""How much the conclusions depend on what the paper leaves open: hyperparameters and benchmark.

    python study/sensitivity.py hyperparameters --from DIR   the grid, on two tables; 80 minutes
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
from claims import CLAIMS, VALUES, evaluate_claims, key, whole_run_of
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
        "whole": whole_table(lines),
        "without": without_table(lines),
        "wild": wild_table(lines, judged(verdict_lines)),
        "shares": shares_table(lines, judged(verdict_lines)),
        "odds": odds_table(lines, verdict_lines),
    }


def candidates(lines):
    """The configurations that the rule chooses from, by entropy weight."""
    return [line for line in lines if RULE.items() <= line.items()]


def spreads(line):
    """Over how many networks the policies of a configuration spread, by reward."""
    return [float(line[f"{name}.spread"]) for name in PAIR]


def chosen(lines):
    """The configuration that the rule chooses: the first whose policies all spread enough."""
    return next(line for line in candidates(lines) if min(spreads(line)) >= SPREAD)


def rule_table(lines):
    """The configurations that the rule chooses from, and over how many networks each spreads."""
    rows = []
    for line in candidates(lines):
        mark = "yes" if min(spreads(line)) >= SPREAD else "no"
        if line is chosen(lines):
            mark = "**yes, and the smallest**"
        rows.append([line["entropy_weight"], *(f"{n:,.0f}" for n in spreads(line)), mark])
    header = ["entropy weight", *(f"networks, {name}" for name in PAIR)]
    return markdown([*header, f"at least {SPREAD}?"], rows)


def columns_of(lines):
    """{title: lines}: with a baseline (b), and without, on each table."""
    columns = {}
    for table in GRID_TABLES:
        here = [line for line in lines if line["table"] == table]
        columns[f"{table}, with b"] = [line for line in here if line["baseline_decay"]]
        columns[f"{table}, without"] = [line for line in here if not line["baseline_decay"]]
    return columns


def whole_table(lines):
    """How far the paper's run lies from ours as a whole, by table, with and without baseline."""
    rows = []
    for title, column in columns_of(lines).items():
        p = np.array([float(line["whole.p"]) for line in column])
        far = [times_farther(line) for line in column]
        inside = [values_inside(line) for line in column]
        rows.append([title, len(column), int(np.sum(p <= 0.05)), f"{p.max():.2f}"])
        rows[-1] += [f"{min(far):,.0f} to {max(far):,.0f}", f"{min(inside)} to {max(inside)}"]
    header = ["", "configurations", "p at most 0.05 in", "highest p"]
    return markdown(
        [*header, "times farther than ours from each other", "of six values inside"], rows
    )


def times_farther(line):
    """How many times farther the paper's run lies from ours than ours from each other (median)."""
    return float(line["whole.distance"]) / max(float(line["whole.typical"]), 1e-9)


def values_inside(line):
    """How many of the six values of the run as a whole lie inside our runs."""
    keys = [f"{claim}.{reward}.verdict" for claim in VALUES for reward in PAIR]
    return [line[key] for key in keys].count("inside")


def without_table(lines):
    """Without a baseline: the six values and the run as a whole, for each rate and entropy."""
    rows = []
    for table in GRID_TABLES:
        for rate in map(str, RATES):
            row = [table, rate]
            for line in lines:
                here = (line["table"], line["learning_rate"], line["baseline_decay"])
                if here == (table, rate, ""):
                    p = float(line["whole.p"])
                    row.append(f"{values_inside(line)} of 6; p = {p:.2f}")
            rows.append(row)
    header = ["table", "learning rate", *(f"entropy weight {entropy:g}" for entropy in ENTROPIES)]
    return markdown(header, rows)


WILD = dict(table=MODELLED, learning_rate="0.003", entropy_weight="0.003", baseline_decay="")


def wild_table(lines, texts):
    """One configuration without a baseline: the range of our runs, and each of the six values."""
    line = next(line for line in lines if WILD.items() <= line.items())
    rows = []
    for claim in VALUES:
        for reward in PAIR:
            name = f"{claim}.{reward}"
            low, middle, high = (float(line[f"{name}.{x}"]) for x in ("min", "median", "max"))
            ours = f"{middle:,.4g} [{low:,.0f}, {high:,.0f}]"
            paper = next(c.paper[reward] for c in CLAIMS if c.id == claim)
            p = f"{float(line[f'{name}.p']):.2f}"
            rows.append([texts[name], f"{paper:,}", ours, p, line[f"{name}.verdict"]])
    return markdown(["value", "the paper", "our runs: median [min, max]", "p", "verdict"], rows)


def shares_table(lines, texts):
    """In how many configurations each claim is so, on each table, with and without a baseline."""
    columns = columns_of(lines)
    rows = []
    for claim, text in texts.items():
        found = [[line[f"{claim}.verdict"] for line in column] for column in columns.values()]
        rows.append([text, *map(share, found)])
    return markdown(["claim", *columns], rows)


def judged(verdict_lines):
    """{claim: its text} of the claims that have a verdict."""
    return {line["claim"]: line["text"] for line in verdict_lines if line["verdict"] != "no claim"}


def share(verdicts):
    """In how many configurations a claim is so: "60 of 63", and in how many it is reversed."""
    good = verdicts.count("supported") + verdicts.count("inside")
    text = f"{good} of {len(verdicts)}"
    reverse = verdicts.count("reversed")
    return text + (f" ({reverse} reversed)" if reverse else "")


def odds_table(lines, verdict_lines):
    """The odds of 50-60 to 60-70% under T: the paper's, of uniform sampling, and over the grid."""
    measured = {line["claim"]: line for line in verdict_lines if line["table"] == MODELLED}
    with_b = [line for line in lines if line["baseline_decay"]]
    without = [line for line in lines if not line["baseline_decay"]]
    rows = []
    for name in PAIR:
        few, more = f"fig6_50_60.{name}", f"fig6_60_70.{name}"
        known = [float(measured[few][c]) / float(measured[more][c]) for c in ("paper", "random")]
        highest = []
        for some in (with_b, without):
            medians = [(float(e[f"{few}.median"]), float(e[f"{more}.median"])) for e in some]
            highest.append(max(a / b for a, b in medians if b > 0))
        rows.append([name, *(f"{value:.2f}" for value in (*known, *highest))])
    header = ["", "the paper", "uniform sampling", "highest with b, medians", "highest without"]
    return markdown(header, rows)


# --- Verdicts: the searches -------------------------------------------------------------------

SEEDS = range(run_experiment.SEEDS)
KEPT = ["text", "kind", "paper", "median", "min", "max", "censoring", "p", "random"]
KEPT += ["n_censored", "verdict"]
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
        whole = whole_run_of(results) or dict.fromkeys(("p", "distance", "typical"))
        line = dict(table=table) | problem_line(problem)
        line |= {f"whole.{name}": value for name, value in whole.items()}
        lines += [line | claim_line(result) for result in results]
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
    """A claim's result."""
    return dict(claim=key(result)) | {name: result[name] for name in KEPT}


# --- Verdicts: the table ----------------------------------------------------------------------

DIRECTIONS = {  # in the order of the CSV file
    "fig6_under_T.sign": "more samples under T",
    "fig6_50_60.sign": "more of 50-60%",
    "fig6_60_70.sign": "more of 60-70%",
    "fig7_stays_under.sign": "stays under T sooner",
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
    header = ["benchmark", "T, ms", "best cells, ms: mnasnet / proposed", *DIRECTIONS.values()]
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
