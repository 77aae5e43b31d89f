"""Writes and checks the numbers that README.md and docs/ show: all of them come from runs.

    python docs/make_docs.py check                        README and docs against a run; 40 s
    python docs/make_docs.py readme                       README's output, results and pictures
    python docs/make_docs.py hyperparameters --from DIR   the grid, on two tables; half an hour
    python docs/make_docs.py verdicts --from DIR          every claim on every table; 10 minutes
    python docs/make_docs.py surrogate --from DIR         the surrogate beside the real table
    python docs/make_docs.py strength --from DIR          docs/beyond.md: strength against form
    python docs/make_docs.py published --from DIR         docs/beyond.md: a published number

DIR holds the public tables, as data/README.md says; without --from they are downloaded. Times are
those of two cores. Run `readme` last: its table of results reads docs/verdicts.csv and
docs/hyperparameters.csv, which the other commands write. Text stands between
<!-- name --> and <!-- end of name -->; everything outside the markers is written by hand."""

import argparse
import csv
import itertools
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
RESULTS = ROOT / "results"
README = ROOT / "README.md"
sys.path.insert(0, str(ROOT))

import run_experiment  # first, for it sets the number of BLAS threads  # isort: skip
import numpy as np

import build_benchmark
import nas_benchmark
from claims import PAIR, WINDOW, ledger
from command_line import UserError, progress, whole_files
from nas_reward import T_MS
from nas_search import HYPERPARAMETERS, Problem, run_searches

MODELLED = "modelled"
MODELLED_TOO = "modelled_1080ti_32"
PICTURES = ("fig2", "fig3", "fig6", "fig7", "claims", "landscape")


# --- Searches ---------------------------------------------------------------------------------


def judged(problem, seeds, hyperparameters=HYPERPARAMETERS):
    """(runs, ledger) of a problem's searches."""
    runs = run_searches(problem, seeds, hyperparameters=hyperparameters)
    return runs, ledger(runs.points(), problem.target_ms)


def table_of(name, folder):
    """The benchmark called `name`: the surrogate, or measured CIFAR-100 accuracy with a latency."""
    if name == "surrogate":
        return nas_benchmark.load(nas_benchmark.SURROGATE)
    return build_benchmark.build_tables(folder, name, "cifar100")


# --- Hyperparameters --------------------------------------------------------------------------

GRID_SEEDS = range(100, 108)
GRID_TABLES = ("surrogate", MODELLED)
RATES = (3e-4, 1e-3, 3e-3)
ENTROPIES = (0.0, 0.001, 0.003, 0.005, 0.007, 0.01, 0.03)
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


def inside(entry):
    """The verdict of one line of the ledger with the grid's few seeds.

    A number: whether the paper's lies in the range of our runs. A direction: the ledger's."""
    if entry["kind"] == "direction" or entry["paper"] is None:
        return entry["verdict"]
    if not entry["per_seed"]:
        return "not testable"
    low = min(entry["per_seed"])
    high = max(entry["per_seed"])
    return "inside" if low <= entry["paper"] <= high else "outside"


def spread(runs, reward):
    """Over how many networks the last policy spreads: exp of its entropy, the median over seeds."""
    return float(np.median(np.exp(runs.expected[reward]["entropy"][:, -1])))


def hyperparameters(folder):
    """Writes docs/hyperparameters.csv and the tables of docs/hyperparameters.md."""
    lines = []
    start = time.perf_counter()
    todo = list(itertools.product(GRID_TABLES, grid()))
    for table, setting in todo:
        problem = Problem(table_of(table, folder), PAIR, T_MS)
        runs, entries = judged(problem, GRID_SEEDS, setting)
        line = dict(table=table) | setting
        for name in PAIR:
            last = runs.rows[name][:, -WINDOW:]  # (seeds, 250)
            line[f"{name}: reward, last window"] = round(float(problem.pay[name][last].mean()), 5)
            line[f"{name}: spread"] = round(spread(runs, name), 1)
        for e in entries:
            line[e["claim"]] = e["ours"]
            line[f"{e['claim']}, verdict"] = inside(e)
        lines.append(line)
        progress(len(lines), len(todo), time.perf_counter() - start)
    write_csv(DOCS / "hyperparameters.csv", lines)
    page = DOCS / "hyperparameters.md"
    lines = read_csv(DOCS / "hyperparameters.csv")
    replace(page, "rule", rule_table(lines))
    replace(page, "shares", shares_table(lines))
    replace(page, "calibration", calibration_table(lines))


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
            spreads = [float(line[f"{name}: spread"]) for name in PAIR]
            enough = min(spreads) >= SPREAD
            first = enough and chosen is None
            if first:
                chosen = float(line["entropy_weight"])
            mark = "**the smallest that is enough**" if first else "yes" if enough else "no"
            rows.append([line["entropy_weight"], *(f"{n:,.0f}" for n in spreads), mark])
    if chosen != HYPERPARAMETERS["entropy_weight"]:
        print(f"the rule chooses an entropy weight of {chosen}, not the program's", file=sys.stderr)
    header = ["entropy weight", "networks, mnasnet", "networks, proposed", f"at least {SPREAD}?"]
    return markdown(header, rows)


def shares_table(lines):
    """In how many settings of the grid each claim holds, on each table, with and without b."""
    rows = []
    for claim in claims_of(lines):
        row = [claim]
        for table in GRID_TABLES:
            for no_baseline in (False, True):
                verdicts = [
                    line[f"{claim}, verdict"]
                    for line in lines
                    if line["table"] == table and (line["baseline_decay"] == "") == no_baseline
                ]
                row.append(share(verdicts))
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
    names = [name.removesuffix(", verdict") for name in lines[0] if name.endswith(", verdict")]
    return [name for name in names if lines[0][f"{name}, verdict"] != "no claim"]


def calibration_table(lines):
    """Which settings could have given the paper's MnasNet run, and what they say of its other run."""
    baseline = [
        "mnasnet: networks of 50-60 % under T",
        "mnasnet: networks of 60-70 % under T",
        "mnasnet: settles at or under T",
    ]
    other = [name.replace("mnasnet", "proposed") for name in baseline]
    rows = []
    for table in GRID_TABLES:
        here = [line for line in lines if line["table"] == table]
        for needed in (baseline[:1], baseline[1:2], baseline[2:], baseline[1:], baseline):
            kept = [line for line in here if all(line[f"{c}, verdict"] == "inside" for c in needed)]
            found = [sum(line[f"{c}, verdict"] == "inside" for line in kept) for c in other]
            papers = {baseline[0]: "659", baseline[1]: "781", baseline[2]: "4,750"}
            row = [table, ", ".join(papers[c] for c in needed), f"{len(kept)} of {len(here)}"]
            rows.append(row + found)
    header = ["table", "inside the range", "settings kept"]
    header += ["of these, 780 inside", "1,004 inside", "4,000 inside"]
    return markdown(header, rows)


# --- Verdicts ---------------------------------------------------------------------------------

SEEDS = range(run_experiment.SEEDS)
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
    """Writes docs/verdicts.csv and the tables of docs/verdicts.md."""
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
            more = ("claim", "kind", "paper", "ours", "bound", "low", "high", "p", "random")
            line |= {key: e[key] for key in more}
            line |= {key: e[key] for key in ("never", "verdict")}
            lines.append(line)
        progress(done, len(todo), time.perf_counter() - start)
    write_csv(DOCS / "verdicts.csv", lines)
    lines = read_csv(DOCS / "verdicts.csv")
    replace(DOCS / "verdicts.md", "directions", directions_table(lines))
    replace(DOCS / "verdicts.md", "tallies", tallies_table(lines))


SHORT = {
    "proposed draws more networks under T": "more under T",
    "proposed draws more of 50-60 %": "more of 50-60 %",
    "proposed draws more of 60-70 %": "more of 60-70 %",
    "proposed settles sooner": "sooner",
}


def by_problem(lines):
    """{(table, T, both optima in ms): {claim: its line}}, in order."""
    problems = {}
    for line in lines:
        optima = " / ".join(line[f"optimum of {name}, ms"] for name in PAIR)
        problems.setdefault((line["table"], line["target_ms"], optima), {})[line["claim"]] = line
    return problems


def directions_table(lines):
    """Per table and target: both optima, and the verdict of each direction."""
    rows = []
    for (table, target_ms, optima), claims in by_problem(lines).items():
        rows.append([table, target_ms, optima, *(claims[name]["verdict"] for name in SHORT)])
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
            rows.append([claim, first["paper"], counts])
    return markdown(["claim", "paper", f"verdicts on the {len(problems)} lines"], rows)


# --- README -----------------------------------------------------------------------------------


def default_run():
    """(what the default run prints, its summary); its files stay in results/."""
    command = [sys.executable, "run_experiment.py", "--animate"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout, json.loads((RESULTS / "summary.json").read_text(encoding="utf-8"))


def readme():
    """Run the README's main job: its pictures go to docs/, what it prints and finds to README."""
    printed, summary = default_run()
    for name in PICTURES:
        shutil.copy(RESULTS / f"{name}.png", DOCS)
    shutil.copy(RESULTS / "search.gif", DOCS)
    replace(README, "output", "```text\n" + shortened(printed) + "\n```")
    replace(README, "results", results_table(summary["claims"]))


def shortened(printed):
    """What a run prints, without most of the rows of the search."""
    text = []
    for section in re.split(r"\n(?=\n)", printed.strip("\n")):
        lines = section.split("\n")
        if section.strip().startswith("Search"):
            lines = [*lines[:6], "  ...", *lines[-2:]]
        text += lines
    return "\n".join(text)


def results_table(entries):
    """The paper beside ours: on the surrogate, on measured accuracies, and over the grid."""
    measured = {
        line["claim"]: line for line in read_csv(DOCS / "verdicts.csv") if line["table"] == MODELLED
    }
    settings = read_csv(DOCS / "hyperparameters.csv")
    rows = []
    for e in entries:
        if e["verdict"] == "no claim":
            continue
        found = {
            table: [line[f"{e['claim']}, verdict"] for line in settings if line["table"] == table]
            for table in GRID_TABLES
        }
        shares = " / ".join(share(found[table]) for table in GRID_TABLES)
        paper = "" if e["paper"] is None else f"{e['paper']:,}"
        here = cell(e["bound"], e["ours"], e["verdict"])
        line = measured[e["claim"]]
        there = cell(line["bound"], as_number(line["ours"]), line["verdict"])
        rows.append([e["claim"], paper, here, there, shares])
    header = ["claim", "paper", "on the surrogate", "on measured accuracies"]
    header.append("settings of the grid in which it holds: surrogate / measured")
    return markdown(header, rows)


def cell(bound, ours, verdict):
    """A median and its verdict, for a table."""
    if ours is None:
        return verdict
    return f"{bound} {ours:,.4g}: {verdict}".strip()


def as_number(text):
    """A number as CSV holds it; an empty text is None."""
    return float(text) if text else None


def check():
    """Exit with one line if README or docs show what a run does not.

    To the letter above the search; of the claims, our number must lie within the range of the
    run's seeds, for another processor rounds differently, and single searches diverge."""
    printed, summary = default_run()
    if max(map(len, printed.splitlines())) > 100:
        sys.exit("a run prints lines of more than 100 columns")
    shown = between(README, "output").splitlines()[1:-1]
    first = next(k for k, line in enumerate(shown) if line.startswith("Search"))
    for line in shown[:first]:
        if line not in printed.splitlines():
            sys.exit(f"README.md shows a line that a run does not print: {line}")
    for e in summary["claims"]:
        (line,) = [line for line in shown if line.startswith(f"  {e['claim']}  ")]
        after_claim = line.removeprefix(f"  {e['claim']}").replace(">= ", "").replace("<= ", "")
        numbers = [float(text.replace(",", "")) for text in after_claim.split("[")[0].split()]
        ours = numbers[-1]  # before it, if it gives one, the paper's
        slack = 0.001 * abs(ours)
        if not min(e["per_seed"]) - slack <= ours <= max(e["per_seed"]) + slack:
            sys.exit(f"README.md: {e['claim']}: {ours:g} is unlike the run's {e['ours']:g}")
    print("README.md agrees with a run")


# --- Files ------------------------------------------------------------------------------------


def write_csv(path, lines):
    """Dicts with the same keys as a CSV file."""
    with whole_files(path.parent) as folder, open(folder / path.name, "w", newline="") as file:
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def read_csv(path):
    """A CSV file as dicts of text."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def replace(path, marker, text):
    """Put `text` between <!-- marker --> and <!-- end of marker --> in a file."""
    old = between(path, marker)
    whole = f"<!-- {marker} -->\n{{}}<!-- end of {marker} -->"
    page = path.read_text(encoding="utf-8")
    path.write_text(page.replace(whole.format(old), whole.format(text + "\n")), encoding="utf-8")


def between(path, marker):
    """What stands between a file's two markers."""
    _, start, rest = path.read_text(encoding="utf-8").partition(f"<!-- {marker} -->\n")
    text, end, _ = rest.partition(f"<!-- end of {marker} -->")
    if not start or not end:
        raise UserError(f"{path}: the marker '{marker}' is missing")
    return text


def main():
    """Make or check the page that the command line names."""
    pages = ("check", "readme", "hyperparameters", "verdicts", "surrogate", "strength", "published")
    parser = argparse.ArgumentParser(description="Make or check the pages that show results.")
    parser.add_argument("page", choices=pages)
    parser.add_argument("--from", dest="folder", type=Path, help="a folder of the public tables")
    args = parser.parse_args()
    if args.page == "check":
        check()
    elif args.page == "readme":
        readme()
    elif args.page == "hyperparameters":
        hyperparameters(args.folder)
    elif args.page == "verdicts":
        verdicts(args.folder)


if __name__ == "__main__":
    main()
