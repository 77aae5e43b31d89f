"""The pictures and the printed output on README and docs/results.md, from the default run.

    python docs/readme.py        40 s on two cores

It runs `run_experiment.py --animate`, copies the pictures to docs/, draws those that need no run,
and puts what was printed into docs/results.md, and the claims into README. Below "Search" the
numbers are those of one machine: others round differently, and single searches diverge."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import drawings

from command_line import Parser, run

ROOT = Path(__file__).resolve().parents[1]


def shortened(printed):
    """What a run prints, without most of the rows of the search."""
    text = []
    for section in re.split(r"\n(?=\n)", printed.strip("\n")):
        lines = section.split("\n")
        if section.strip().startswith("Search"):
            lines = [*lines[:6], "  ...", *lines[-3:]]
        text += lines
    return "\n".join(text)


def claims_of(printed):
    """What a run prints from the claims on, but for the end."""
    _, heading, rest = printed.partition("The paper's claims: ")
    claims, _, _ = rest.partition("\nTime\n")
    return f"{heading}{claims}".rstrip()


def show(page, text):
    """Put a text into the first block ```text of a page."""
    before, rest = page.read_text(encoding="utf-8").split("```text\n", 1)
    after = rest[rest.index("```") :]
    page.write_text(f"{before}```text\n{text}\n{after}", encoding="utf-8")


def main(argv):
    """The command: runs the experiment, and writes."""
    Parser(description=(__doc__ or "").partition("\n")[0]).parse_args(argv)
    command = [sys.executable, "run_experiment.py", "--animate"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    for picture in [*ROOT.glob("results/*.png"), ROOT / "results" / "search.gif"]:
        shutil.copy(picture, ROOT / "docs")
    drawings.write_drawings(ROOT / "docs")
    show(ROOT / "docs" / "results.md", shortened(done.stdout))
    show(ROOT / "README.md", claims_of(done.stdout))


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
