"""How much the conclusions depend on what the paper leaves open: hyperparameters and benchmark.

    python study/sensitivity.py hyperparameters --from DIR   the grid, on two tables; 80 minutes
    python study/sensitivity.py verdicts --from DIR          each claim on each table; 10 minutes

Each command writes a CSV file, and docs/check.py from it the tables of the page of the same name.
Left out: any choice between the configurations by what the claims do; the rule of
study/hyperparameters.md looks at none of them."""

import itertools

from tables import MODELLED, TABLES, cells, collect, main  # first  # isort: skip
from tables import read, select, table_of  # isort: skip
import numpy as np

from claims import CLAIMS, VALUES, evaluate_claims, key, whole_run_of
from nas_reward import PAIR, SAMPLES, T_MS, WINDOW
from nas_search import Problem, run_searches
from run_experiment import SEEDS

# --- Hyperparameters: the grid ----------------------------------------------------------------

GRID_SEEDS = range(100, 140)
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
    todo = list(itertools.product(TABLES, grid()))
    collect("hyperparameters.csv", todo, grid_lines, folder)


def grid_lines(folder, table, chosen, seeds=GRID_SEEDS, samples=SAMPLES):
    """How the searches with one configuration end, each claim, and the run as a whole: one line.
    The spread is over how many networks: exp of the last policy's entropy, median over seeds."""
    problem = Problem(table_of(table, folder), PAIR, T_MS)
    runs = run_searches(problem, seeds, samples, hyperparameters=chosen)
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


SPREAD = 100  # networks, that a policy must still spread over after 5,000
RULE = dict(table=MODELLED, hidden=64, learning_rate=0.001, baseline_decay=0.95)
SIX = [f"{claim}.{reward}" for claim in VALUES for reward in PAIR]  # of the whole
WITHOUT = dict(baseline_decay="")
WILD = dict(table=MODELLED, learning_rate=0.003, entropy_weight=0.003) | WITHOUT


def columns():
    """{title: lines} of the grid: of each benchmark, those with a baseline b and those without."""
    lines = read("hyperparameters.csv")
    found = {}
    for table in TABLES:
        of_table = select(lines, table=table)
        found[f"{table}, with b"] = [line for line in of_table if line["baseline_decay"]]
        found[f"{table}, without"] = select(of_table, **WITHOUT)
    return found


def judged(table):
    """{claim: its last line on a benchmark} of the claims that have a verdict."""
    lines = select(read("verdicts.csv"), table=table)
    return {line["claim"]: line for line in lines if line["verdict"] != "no claim"}


def rule_table():
    """The configurations that the rule chooses from, and over how many networks each spreads."""
    yes = "**yes, and the smallest**"
    for line in select(read("hyperparameters.csv"), **RULE):
        one, other = (line[f"{name}.spread"] for name in PAIR)
        mark = "no"
        if min(one, other) >= SPREAD:
            mark, yes = yes, "yes"
        yield f"{line['entropy_weight']} | {one:,.0f} | {other:,.0f} | {mark}"


def values_inside(line):
    """How many of the six values of the run as a whole lie inside our runs."""
    return [line[f"{name}.verdict"] for name in SIX].count("inside")


def whole_table():
    """How far the paper's run lies from ours as a whole, by table, with and without baseline."""
    for title, column in columns().items():
        p = [line["whole.p"] for line in column]
        low = sum(value <= 0.05 for value in p)
        far = [line["whole.distance"] / line["whole.typical"] for line in column]
        inside = [values_inside(line) for line in column]
        row = f"{title} | {len(column)} | {low} | {max(p):.2f} | {min(far):,.0f} to {max(far):,.0f}"
        yield f"{row} | {min(inside)} to {max(inside)}"


def without_table():
    """Without a baseline: the six values and the run as a whole, for each rate and entropy."""
    lines = select(read("hyperparameters.csv"), **WITHOUT)
    for table, rate in itertools.product(TABLES, RATES):
        row = f"{table} | {rate}"
        for line in select(lines, table=table, learning_rate=rate):
            row += f" | {values_inside(line)} of 6; p = {line['whole.p']:.2f}"
        yield row


def wild_table():
    """One configuration without a baseline: the range of our runs, and each of the six values."""
    [line] = select(read("hyperparameters.csv"), **WILD)
    claims = judged(MODELLED)
    for name in SIX:
        low, median, high, p = (line[f"{name}.{x}"] for x in ("min", "median", "max", "p"))
        row = f"{claims[name]['text']} | {claims[name]['paper']:,}"
        row += f" | {median:,.4g} [{low:,.0f}, {high:,.0f}] | {p:.2f}"
        yield f"{row} | {line[f'{name}.verdict']}"


def shares(grid, claim, form):
    """In how many configurations a claim is so, and of how many, for each column of the grid."""
    for column in grid.values():
        found = [line[f"{claim}.verdict"] for line in column]
        yield form.format(found.count("supported") + found.count("inside"), len(found))


def shares_table():
    """In how many configurations each claim is so, on each table, with and without a baseline."""
    grid = columns()
    for claim, line in judged(MODELLED).items():
        yield cells([line["text"], *shares(grid, claim, "{} of {}")])


def odds_table():
    """The odds of 50-60 to 60-70% under T: the paper's, of uniform sampling, and over the grid."""
    claims = judged(MODELLED)
    grid = columns()
    for name in PAIR:
        few, more = f"fig6_50_60.{name}", f"fig6_60_70.{name}"
        odds = [claims[few][x] / claims[more][x] for x in ("paper", "random")]
        for word in ("with b", "without"):
            lines = [e for title, column in grid.items() if word in title for e in column]
            medians = [(e[f"{few}.median"], e[f"{more}.median"]) for e in lines]
            odds.append(max(a / b for a, b in medians if b > 0))
        yield "{} | {:.2f} | {:.2f} | {:.2f} | {:.2f}".format(name, *odds)


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
DIRECTIONS = [f"{claim.id}.sign" for claim in CLAIMS if claim.comparison]


def verdicts(folder):
    """Search on every table with every target; writes verdicts.csv."""
    todo = [(table, target) for table, targets in TARGETS.items() for target in targets]
    collect("verdicts.csv", todo, verdict_lines, folder)


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
    return [line | dict(claim=key(e)) | {x: e[x] for x in KEPT} for e in results]


def directions_table():
    """The verdict of each direction, per table and target, with both optima."""
    lines = [line for line in read("verdicts.csv") if line["claim"] in DIRECTIONS]
    for _, group in itertools.groupby(lines, lambda line: (line["table"], line["target_ms"])):
        row = "{table} | {target_ms} | {optimum of mnasnet, ms} / {optimum of proposed, ms}"
        found = list(group)
        yield cells([row.format_map(found[0]), *(line["verdict"] for line in found)])


def same_everywhere():
    """The claims with one verdict on all lines of that table, as a list."""
    lines = read("verdicts.csv")
    items = []
    for claim, last in judged(MODELLED).items():
        found = [line["verdict"] for line in select(lines, claim=claim)]
        found = [x for x in found if x != "not comparable"]  # at another T
        if len(set(found)) == 1:
            items.append(f'- "{last["text"]}": {found[0]} on all {len(found)} lines')
    return "\n".join(items)


def results_table(kind):
    """The paper and our runs, on both benchmarks and over the grid: of kind "sign" or "value"."""
    grid = columns()
    measured = judged(MODELLED)
    for claim, line in judged("surrogate").items():
        if line["kind"] == kind:
            paper = [f"{line['paper']:,}"] if kind == "value" else []
            so = "{}, {}; measured {}, {}".format(*shares(grid, claim, "{}/{}"))
            yield cells([line["text"], *paper, in_cell(line), in_cell(measured[claim]), so])


def in_cell(line):
    """Our runs and the verdict, from a line of verdicts.csv."""
    row = "{censoring} {median:,.0f} [{min:,.0f}, {max:,.0f}]: {verdict}"
    if line["claim"].startswith("fig7_accuracy"):
        row = row.replace(".0f", ".1f")
    return row.format_map(line).strip()


if __name__ == "__main__":
    main(__doc__, hyperparameters=hyperparameters, verdicts=verdicts)
