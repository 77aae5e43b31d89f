"""How much the conclusions depend on what the paper leaves open: hyperparameters and benchmark.

    python study/sensitivity.py hyperparameters --from DIR   the grid, on two tables; 80 minutes
    python study/sensitivity.py verdicts --from DIR          each claim on each table; 10 minutes

DIR holds the public tables, as data/README.md says; without --from they are downloaded. Each
command writes a CSV file, and from it the tables of the page of the same name; after an
interruption it goes on where it stood. Left out: any choice between the configurations by what the
claims do; the rule of study/hyperparameters.md looks at none of them."""

import functools
import itertools

from tables import MODELLED, STUDY, collect, main, read, select, table_of  # first  # isort: skip
import numpy as np
from pages import markdown

from claims import CLAIMS, VALUES, evaluate_claims, key, whole_run_of
from nas_reward import PAIR, T_MS, WINDOW
from nas_search import Problem, run_searches
from run_experiment import SEEDS

# --- Hyperparameters: the grid ----------------------------------------------------------------

GRID_SEEDS = range(100, 140)
GRID_TABLES = ("surrogate", MODELLED)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
ENTROPIES = (0.0, 0.001, 0.003, 0.005, 0.01, 0.03)
DECAYS = (None, 0.9, 0.95, 0.99)


def grid():
    """All configurations: every rate, entropy weight and baseline at H = 64; H = 32 and 128 too."""
    chosen = [(64, rate, decay) for decay in DECAYS for rate in RATES]
    chosen += [(hidden, 1e-3, 0.95) for hidden in (32, 128)]
    return [
        dict(hidden=hidden, learning_rate=rate, entropy_weight=entropy, baseline_decay=decay)
        for (hidden, rate, decay), entropy in itertools.product(chosen, ENTROPIES)
    ]


def hyperparameters(folder):
    """Search with every configuration on two tables; writes hyperparameters.csv."""
    todo = list(itertools.product(GRID_TABLES, grid()))
    collect(STUDY / "hyperparameters.csv", todo, functools.partial(grid_lines, folder))


def grid_lines(folder, table, chosen):
    """How the searches with one configuration end, each claim, and the run as a whole: one line.

    spread: over how many networks the last policy spreads, exp of its entropy; of all seeds the
    median."""
    problem = Problem(table_of(table, folder), PAIR, T_MS)
    runs = run_searches(problem, GRID_SEEDS, hyperparameters=chosen)
    line = dict(table=table) | chosen
    for name in PAIR:
        last = runs.rows[name][:, -WINDOW:]  # (seeds, 250)
        reward = problem.reward_tables[name][last].mean()
        spread = np.median(np.exp(runs.expected[name]["entropy"][:, -1]))
        line[f"{name}.last_reward"] = round(float(reward), 5)
        line[f"{name}.spread"] = round(float(spread), 1)
    results = evaluate_claims(runs.points(), T_MS)
    for result in results:
        for column in ("min", "median", "max", "n_censored", "p", "verdict"):
            line[f"{key(result)}.{column}"] = result[column]
    return [line | whole_of(results)]


def whole_of(results):
    """The columns of the run as a whole, without a value where it cannot be judged."""
    whole = whole_run_of(results) or dict.fromkeys(("p", "distance", "typical"))
    return {f"whole.{name}": value for name, value in whole.items()}


# --- Hyperparameters: the tables --------------------------------------------------------------

SPREAD = 100  # networks, that a policy must still spread over after 5,000
RULE = dict(table=MODELLED, hidden=64, learning_rate=0.001, baseline_decay=0.95)  # what it fixes
WILD = dict(table=MODELLED, learning_rate=0.003, entropy_weight=0.003)


def hyperparameter_tables(folder=STUDY):
    """{marker: text} of the page's tables, from the CSV files in `folder`."""
    lines = read(folder / "hyperparameters.csv")
    measured = judged(select(read(folder / "verdicts.csv"), table=MODELLED))
    with_b = [line for line in lines if line["baseline_decay"]]
    without = select(lines, baseline_decay="")
    columns = {}
    for table in GRID_TABLES:
        columns[f"{table}, with b"] = select(with_b, table=table)
        columns[f"{table}, without"] = select(without, table=table)
    return {
        "rule": rule_table(select(lines, **RULE)),
        "whole": whole_table(columns),
        "without": without_table(without),
        "wild": wild_table(*select(without, **WILD), measured),
        "shares": shares_table(columns, measured),
        "odds": odds_table(with_b, without, measured),
    }


def judged(verdict_lines):
    """{claim: its last line} of the claims that have a verdict."""
    return {line["claim"]: line for line in verdict_lines if line["verdict"] != "no claim"}


def rule_table(candidates):
    """The configurations that the rule chooses from, and over how many networks each spreads."""
    rows = []
    for line in candidates:
        spreads = [line[f"{name}.spread"] for name in PAIR]
        mark = "yes" if min(spreads) >= SPREAD else "no"
        if mark == "yes" and not any("yes" in row[-1] for row in rows):
            mark = "**yes, and the smallest**"
        rows.append([line["entropy_weight"], *(f"{n:,.0f}" for n in spreads), mark])
    header = ["entropy weight", *(f"networks, {name}" for name in PAIR)]
    return markdown([*header, f"at least {SPREAD}?"], rows)


def values_inside(line):
    """How many of the six values of the run as a whole lie inside our runs."""
    verdicts = [line[f"{claim}.{reward}.verdict"] for claim in VALUES for reward in PAIR]
    return verdicts.count("inside")


def whole_table(columns):
    """How far the paper's run lies from ours as a whole, by table, with and without baseline."""
    rows = []
    for title, column in columns.items():
        p = [line["whole.p"] for line in column]
        far = [line["whole.distance"] / max(line["whole.typical"], 1e-9) for line in column]
        inside = [values_inside(line) for line in column]
        row = [title, len(column), sum(x <= 0.05 for x in p), f"{max(p):.2f}"]
        row += [f"{min(far):,.0f} to {max(far):,.0f}", f"{min(inside)} to {max(inside)}"]
        rows.append(row)
    header = ["", "configurations", "p at most 0.05 in", "highest p"]
    header += ["times farther than ours from each other", "of six values inside"]
    return markdown(header, rows)


def without_table(without):
    """Without a baseline: the six values and the run as a whole, for each rate and entropy."""
    rows = []
    for table, rate in itertools.product(GRID_TABLES, RATES):
        here = select(without, table=table, learning_rate=rate)
        texts = [f"{values_inside(line)} of 6; p = {line['whole.p']:.2f}" for line in here]
        rows.append([table, rate, *texts])
    weights = [f"entropy weight {entropy:g}" for entropy in ENTROPIES]
    return markdown(["table", "learning rate", *weights], rows)


def wild_table(line, measured):
    """One configuration without a baseline: the range of our runs, and each of the six values."""
    rows = []
    for name in [f"{claim}.{reward}" for claim in VALUES for reward in PAIR]:
        low, median, high, p = (line[f"{name}.{x}"] for x in ("min", "median", "max", "p"))
        ours = f"{median:,.4g} [{low:,.0f}, {high:,.0f}]"
        row = [measured[name]["text"], f"{measured[name]['paper']:,}", ours, f"{p:.2f}"]
        rows.append([*row, line[f"{name}.verdict"]])
    return markdown(["value", "the paper", "our runs: median [min, max]", "p", "verdict"], rows)


def shares_table(columns, measured):
    """In how many configurations each claim is so, on each table, with and without a baseline."""
    rows = []
    for claim in measured:
        rows.append([measured[claim]["text"]])
        for column in columns.values():
            found = [line[f"{claim}.verdict"] for line in column]
            good = found.count("supported") + found.count("inside")
            rows[-1].append(f"{good} of {len(found)}")
    return markdown(["claim", *columns], rows)


def odds_table(with_b, without, measured):
    """The odds of 50-60 to 60-70% under T: the paper's, of uniform sampling, and over the grid."""
    rows = []
    for name in PAIR:
        few, more = f"fig6_50_60.{name}", f"fig6_60_70.{name}"
        odds = [measured[few][x] / measured[more][x] for x in ("paper", "random")]
        for lines in (with_b, without):
            medians = [(line[f"{few}.median"], line[f"{more}.median"]) for line in lines]
            odds.append(max(a / b for a, b in medians if b > 0))
        rows.append([name, *(f"{value:.2f}" for value in odds)])
    header = ["", "the paper", "uniform sampling", "highest with b, medians", "highest without"]
    return markdown(header, rows)


# --- Verdicts ---------------------------------------------------------------------------------

KEPT = ["text", "kind", "paper", "median", "min", "max", "censoring", "p", "random"]
KEPT += ["n_censored", "verdict"]
# table -> its targets: in ms, or below 1 the share of cells that meet T. HELP publishes targets
# for three devices (its Table 4).
TARGETS = {
    "surrogate": (17,),
    MODELLED: (17,),
    "modelled_1080ti_32": (17,),  # another model of the latency
    "1080ti_256": (17, 0.75),
    "titan_rtx_256": (17, 18, 21, 25),
    "1080ti_32": (17, 0.75),
    "pixel3": (17, 0.75),
    "raspi4": (17, 0.75),
    "eyeriss": (17, 5, 7, 9),
    "fpga": (17, 4, 5, 6),
}
DIRECTIONS = {f"{c.id}.sign": c.comparison.removeprefix("has ") for c in CLAIMS if c.comparison}


def verdicts(folder):
    """Search on every table with every target; writes verdicts.csv."""
    todo = [(table, target) for table, targets in TARGETS.items() for target in targets]
    collect(STUDY / "verdicts.csv", todo, functools.partial(verdict_lines, folder))


def verdict_lines(folder, table, target):
    """A line per claim, each with T, how many cells meet it, and both rewards' best cells."""
    benchmark = table_of(table, folder)
    target_ms = np.quantile(benchmark.latency_ms, target) if target < 1 else target
    problem = Problem(benchmark, PAIR, float(target_ms))
    line = dict(table=table, target_ms=round(problem.target_ms, 2))
    line["cells_under_target"] = round(float(problem.under.mean()), 3)
    optima = problem.optima()
    for name in PAIR:
        line[f"optimum of {name}, ms"] = round(optima[name]["latency_ms"], 2)
        line[f"optimum of {name}, %"] = round(100 * optima[name]["accuracy"], 2)
    runs = run_searches(problem, range(SEEDS))
    results = evaluate_claims(runs.points(), problem.target_ms)
    line |= whole_of(results)
    return [
        line | dict(claim=key(result)) | {name: result[name] for name in KEPT} for result in results
    ]


def verdict_tables(folder=STUDY):
    """{marker: text} of the page: the verdict of each direction, per table and target, with both
    optima; then the claims with one verdict on all of them, as a list."""
    lines = read(folder / "verdicts.csv")
    rows = {}
    for line in lines:
        if line["claim"] in DIRECTIONS:
            optima = " / ".join(str(line[f"optimum of {name}, ms"]) for name in PAIR)
            problem = (line["table"], line["target_ms"], optima)
            rows.setdefault(problem, [*problem]).append(line["verdict"])
    header = ["benchmark", "T, ms", "best cells, ms: mnasnet / proposed", *DIRECTIONS.values()]
    text = markdown(header, rows.values()) + "\n"
    for claim, last in judged(lines).items():
        found = [line["verdict"] for line in select(lines, claim=claim)]
        found = [verdict for verdict in found if verdict != "not comparable"]  # at another T
        if len(set(found)) == 1:
            text += f'\n- "{last["text"]}": {found[0]} on all {len(found)} lines'
    return {"directions": text}


PAGES = {"hyperparameters.md": hyperparameter_tables, "verdicts.md": verdict_tables}

if __name__ == "__main__":
    main(__doc__, {"hyperparameters": hyperparameters, "verdicts": verdicts}, PAGES)
