"""Checks the pages of study/: tables against CSV files, numbers in sentences against tables.

python study/check_pages.py            seconds, without a search; exit code 1 if a page is wrong
python study/check_pages.py --write    puts the tables of the CSV files into the pages"""

import sys

from tables import STUDY, fill, problems  # first  # isort: skip
import beyond
import sensitivity

from command_line import Parser, run

PAGES = sensitivity.PAGES | beyond.PAGES
KNOWN = {  # the numbers of settings and rules
    "hyperparameters.md": f"{sensitivity.grid()}, rank test at 5%",
    "verdicts.md": "sign test at 5%, 0.75 quantile",
    "beyond.md": "range of 95%, 1.5 times, x = 0.9, w = 0.001, 0.003, 0.005, 0.01",
}


def command(argv):
    """Check the pages, or write their tables. Exits with a line per mistake."""
    parser = Parser(description="Check the pages of study/.")
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    write = parser.parse_args(argv).write
    mistakes = []
    for name, tables_of in PAGES.items():
        tables = tables_of(STUDY)
        if write:
            fill(STUDY / name, tables)
        mistakes += problems(STUDY / name, tables, KNOWN[name])
    if mistakes:
        sys.exit("\n".join(mistakes))
    print("the pages of study/ are what its CSV files say")


if __name__ == "__main__":
    sys.exit(run(command, sys.argv[1:]))
