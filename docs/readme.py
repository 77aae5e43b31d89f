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
# The search as a run prints it: two lines and three rows, rows that are left out, three rows.
SEARCH = r"(\nSearch.*(?:\n.+){4})(?:\n.+)*((?:\n.+){3})"


def main(argv):
    """The command: runs the experiment, and writes."""
    Parser(description=(__doc__ or "").partition("\n")[0]).parse_args(argv)
    command = [sys.executable, "run_experiment.py", "--animate"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    for picture in [*ROOT.glob("results/*.png"), ROOT / "results" / "search.gif"]:
        shutil.copy(picture, ROOT / "docs")
    drawings.write_drawings(ROOT / "docs")
    shown = re.sub(SEARCH, r"\1\n  ...\2", done.stdout.strip("\n"), count=1)
    claims = re.search(r"The paper's claims: .*?(?=\n+Time\n)", shown, re.S)[0]
    for name, text in (("docs/results.md", shown), ("README.md", claims)):
        page = ROOT / name
        before, rest = page.read_text(encoding="utf-8").split("```text\n", 1)
        _, _, after = rest.partition("\n```")
        page.write_text(f"{before}```text\n{text}\n```{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
