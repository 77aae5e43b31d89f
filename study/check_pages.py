"""Checks the pages of study/: tables against CSV files, numbers in sentences against tables.

python study/check_pages.py            seconds, without a search; exit code 1 if a page is wrong
python study/check_pages.py --write    puts the tables of the CSV files into the pages"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import beyond
import sensitivity
from tables import STUDY, fill, problems

from command_line import Parser, run

PAGES = {  # page: (function that makes its tables, a text with the numbers of settings and rules)
    "hyperparameters.md": (
        sensitivity.hyperparameter_tables,
        f"{sensitivity.grid()}, rank test at 5%",
    ),
    "verdicts.md": (sensitivity.verdict_tables, "sign test at 5%, 0.75 quantile"),
    "beyond.md": (beyond.tables, "range of 95%, 1.5 times, x = 0.9, w = 0.001, 0.003, 0.005, 0.01"),
}


def mistakes(folder):
    """A line for each mistake of a page in a folder, beside its CSV files."""
    found = []
    for name, (tables, known) in PAGES.items():
        found += problems(folder / name, tables(folder), known)
    return found


def command(argv):
    """Check the pages, or write their tables. Exits with a line per mistake."""
    parser = Parser(description="Check the pages of study/.")
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    if parser.parse_args(argv).write:
        for name, (tables, _) in PAGES.items():
            fill(STUDY / name, tables(STUDY))
    found = mistakes(STUDY)
    if found:
        sys.exit("\n".join(found))
    print("the pages of study/ are what its CSV files say")


if __name__ == "__main__":
    sys.exit(run(command, sys.argv[1:]))
