"""Writes and checks the numbers that README.md and docs/ show: all of them come from runs.

    python docs/make_docs.py check                        README and docs against a run; 40 s
    python docs/make_docs.py readme                       README's output, results and pictures
    python docs/make_docs.py hyperparameters --from DIR   the grid, on two tables; half an hour
    python docs/make_docs.py verdicts --from DIR          every claim on every table; 10 minutes
    python docs/make_docs.py surrogate --from DIR         the surrogate beside the real table
    python docs/make_docs.py strength --from DIR          study/beyond.md: strength against form
    python docs/make_docs.py published --from DIR         study/beyond.md: a published number

DIR holds the public tables, as data/README.md says; without --from they are downloaded. Times are
those of two cores. Run `readme` last: its table of results reads study/verdicts.csv and
study/hyperparameters.csv, which the other commands write. Text stands between
<!-- name --> and <!-- end of name -->; everything outside the markers is written by hand."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
RESULTS = ROOT / "results"
README = ROOT / "README.md"
STUDY = ROOT / "study"
sys.path[:0] = [str(ROOT / folder) for folder in ("", "data", "study")]

import beyond
import check_numbers
import drawings
import sensitivity
from pages import between, markdown, read_csv, replace, write_csv
from sensitivity import GRID_TABLES, MODELLED, share

import command_line
from claims import key

PICTURES = ("fig2", "fig3", "fig6", "fig7", "claims", "landscape")


# --- Pages of docs/ ---------------------------------------------------------------------------


def hyperparameters(folder):
    """study/hyperparameters.csv, and the tables of the page."""
    write_csv(STUDY / "hyperparameters.csv", sensitivity.hyperparameters(folder))
    lines = read_csv(STUDY / "hyperparameters.csv")
    page = STUDY / "hyperparameters.md"
    replace(page, "rule", sensitivity.rule_table(lines))
    replace(page, "shares", sensitivity.shares_table(lines))
    replace(page, "calibration", sensitivity.calibration_table(lines))


def verdicts(folder):
    """study/verdicts.csv, and the tables of the page."""
    write_csv(STUDY / "verdicts.csv", sensitivity.verdicts(folder))
    lines = read_csv(STUDY / "verdicts.csv")
    page = STUDY / "verdicts.md"
    replace(page, "directions", sensitivity.directions_table(lines))
    replace(page, "tallies", sensitivity.tallies_table(lines))


def surrogate(folder):
    """The table of data/README.md: the surrogate beside the real table."""
    from surrogate_table import surrogate_table

    replace(ROOT / "data" / "README.md", "surrogate", surrogate_table(folder))


def strength(folder):
    """study/beyond.md: the two forms over a range of strengths."""
    beyond.strength(folder)
    beyond.asks(folder)


def published(folder):
    """study/beyond.md: NAS-Bench-201's published numbers, searched again."""
    beyond.published(folder)


# --- README -----------------------------------------------------------------------------------


def default_run():
    """(what the default run prints, its summary); its files stay in results/."""
    command = [sys.executable, "run_experiment.py", "--animate"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    summary = (RESULTS / "summary.json").read_text(encoding="utf-8")
    return done.stdout, json.loads(summary)


def readme():
    """Run the README's main job: its pictures go to docs/, what it prints and finds to README."""
    printed, summary = default_run()
    for name in PICTURES:
        shutil.copy(RESULTS / f"{name}.png", DOCS)
    shutil.copy(RESULTS / "search.gif", DOCS)
    drawings.write_drawings(DOCS)
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
    lines = read_csv(STUDY / "verdicts.csv")
    measured = {line["claim"]: line for line in lines if line["table"] == MODELLED}
    settings = read_csv(STUDY / "hyperparameters.csv")
    rows = []
    for e in entries:
        if e["verdict"] == "no claim":
            continue
        line = measured[key(e)]
        shares = []
        for table in GRID_TABLES:
            here = [setting for setting in settings if setting["table"] == table]
            shares.append(share([setting[f"{key(e)}.verdict"] for setting in here]))
        rows.append(
            [
                e["text"],
                "" if e["paper"] is None else f"{e['paper']:,}",
                cell(e["censoring"], e["median"], e["verdict"]),
                cell(line["censoring"], as_number(line["median"]), line["verdict"]),
                " / ".join(shares),
            ]
        )
    header = ["claim", "paper", "on the surrogate", "on measured accuracies"]
    header.append("settings in which it holds: surrogate / measured")
    return markdown(header, rows)


def cell(bound, ours, verdict):
    """A median and its verdict, for a table."""
    if ours is None:
        return verdict
    return f"{bound} {ours:,.4g}: {verdict}".strip()


def as_number(text):
    """A number as CSV holds it; an empty text is None."""
    return float(text.replace(",", "")) if text else None


# --- Check ------------------------------------------------------------------------------------


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
        (line,) = [line for line in shown if line.startswith(f"  {e['text']}  ")]
        if e["median"] is not None and not agrees(ours_in(line, e["text"]), e["per_seed"]):
            sys.exit(f"README.md: unlike the run's {e['median']:g}: {line}")
    check_results(summary["claims"])
    wrong = [
        line
        for page in check_numbers.PAGES
        for line in check_numbers.check(page, check_numbers.read(page))
    ]
    if wrong:
        sys.exit("\n".join(wrong))
    beyond.check()
    print("README.md agrees with a run, and every number has a source")


def check_results(entries):
    """Exit with one line if README's table of results is not what the CSV files and a run say."""
    shown = between(README, "results").splitlines()
    made = results_table(entries).splitlines()
    judged = [e for e in entries if e["verdict"] != "no claim"]
    if len(shown) != len(made):
        sys.exit("README.md: the table of results lacks a line, or has one too many")
    for old, new, e in zip(shown[2:], made[2:], judged, strict=True):
        old_cells = old.split(" | ")
        new_cells = new.split(" | ")
        ours = old_cells.pop(2).partition(":")[0]
        new_cells.pop(2)  # ours, on the surrogate: from the run, and so within its range
        if old_cells != new_cells or not agrees(as_number(ours.strip(">=< ")), e["per_seed"]):
            sys.exit(f"README.md: the table of results should say: {new}")


def ours_in(line, claim):
    """The median in a printed line of the claims: the last number before the range."""
    numbers = line.removeprefix(f"  {claim}").partition("[")[0]
    return float(numbers.split()[-1].replace(",", ""))


def agrees(ours, per_seed):
    """Whether a printed median lies within the range of the runs, but for rounding."""
    slack = 0.001 * abs(ours)
    return min(per_seed) - slack <= ours <= max(per_seed) + slack


PAGES = {
    "check": check,
    "readme": readme,
    "hyperparameters": hyperparameters,
    "verdicts": verdicts,
    "surrogate": surrogate,
    "strength": strength,
    "published": published,
}


def command(argv):
    """Make or check the page that `argv` names. Raises UserError."""
    parser = command_line.Parser(description="Make or check the pages that show results.")
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("--from", dest="folder", type=Path, help="the public tables")
    args = parser.parse_args(argv)
    if args.page in ("check", "readme"):
        PAGES[args.page]()
    else:
        PAGES[args.page](args.folder)


if __name__ == "__main__":
    sys.exit(command_line.run(command, sys.argv[1:]))
