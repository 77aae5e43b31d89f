"""A window with sliders for T, w and y: both rewards over all cells of a benchmark.

python docs/sliders.py [--benchmark PATH]"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import command_line  # noqa: F401  # first: is Python new enough?  # isort: skip
import matplotlib
import numpy as np
from matplotlib.widgets import RadioButtons, Slider

import nas_benchmark
from command_line import Parser, UserError, run
from figures import SIZE, STYLE, draw_cells, limits, mark_target_upright, palette
from nas_reward import ALPHA, PAIR, T_MS, Y, equal_strength, mnasnet, proposed

PHONE = nas_benchmark.DATA / "cifar100_pixel3.pkl"
PHONE_MISSING = f"No {PHONE.name} yet: python data/build_benchmark.py tables --device pixel3"
PRESETS = {  # name: what one sees
    "paper": "At T, the curve of MnasNet's reward is flatter: its latency penalty is smaller",
    "equal strength": "A larger -w: both lines are now as steep at T; only form differs",
    "17 ms on a phone": "MnasNet's reward grows without limit as LAT goes to 0",
    "seconds by mistake": "Eq. 4 refuses T = 0.017: slower would be better",
}


class Explorer:
    """Both rewards over all cells of a benchmark, with sliders, on a Figure that has a canvas.

    A panel shows a reward's best cell, and the curve of cells with the same reward."""

    def __init__(self, figure, benchmark):
        self.figure = figure
        self.usual = benchmark
        self.benchmark = benchmark
        self.panels = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.07, right=0.97, top=0.86, bottom=0.36, wspace=0.1)
        colours = palette(PAIR)
        self.T = self.add_slider(0.20, "T (ms)", 0.017, 40.0, T_MS, "black")
        self.w = self.add_slider(0.12, "w of mnasnet", -0.3, 0.0, ALPHA, colours["mnasnet"])
        self.y = self.add_slider(0.04, "y of proposed", 0.0, 0.4, Y, colours["proposed"])
        buttons = figure.add_axes((0.67, 0.02, 0.3, 0.25), frameon=False)
        self.presets = RadioButtons(buttons, list(PRESETS), activecolor="black")
        self.presets.on_clicked(self.choose)
        self.choose("paper")

    def add_slider(self, bottom, label, low, high, start, colour):
        """A slider that draws again when it is moved."""
        axes = self.figure.add_axes((0.18, bottom, 0.36, 0.05))
        slider = Slider(
            axes, label, low, high, valinit=start, valfmt="%.3f", color=colour, initcolor="none"
        )
        slider.on_changed(self.draw)
        return slider

    def choose(self, name):
        """Set everything as a preset says, and say what one sees."""
        sentence = PRESETS[name]
        self.benchmark = self.usual
        target_ms = T_MS
        w = ALPHA
        if name == "equal strength":
            w = equal_strength(Y, self.usual.accuracy.max(), T_MS)
        elif name == "17 ms on a phone":
            try:
                self.benchmark = nas_benchmark.load(PHONE)
            except UserError:
                sentence = PHONE_MISSING
        elif name == "seconds by mistake":
            target_ms = T_MS / 1000
        for slider, value in ((self.T, target_ms), (self.w, w), (self.y, Y)):
            slider.eventson = False  # draw once, below
            slider.set_val(value)
            slider.eventson = True
        self.draw()
        self.figure.suptitle(sentence)

    def draw(self, _=None):
        """Draw both panels for where the sliders stand."""
        left, right = self.panels
        w = self.w.val
        y = self.y.val
        self.draw_panel(left, "mnasnet", partial(mnasnet, alpha=w, beta=w))
        self.draw_panel(right, "proposed", partial(proposed, x=1 - y, y=y))
        left.set_ylabel("accuracy (%)")
        self.figure.suptitle("")
        self.figure.canvas.draw_idle()

    def draw_panel(self, axes, name, reward):
        """The cells, T, and the reward's best cell with its line; or why it refuses T."""
        target_ms = self.T.val
        colour = palette(PAIR)[name]
        x, y = limits(self.benchmark)
        axes.clear()
        draw_cells(axes, self.benchmark)
        mark_target_upright(axes, target_ms, at=0.06)
        axes.set(xlim=x, ylim=y, xlabel="latency (ms)")
        try:
            R = reward(self.benchmark.accuracy, self.benchmark.latency_ms, target_ms)
        except ValueError as refusal:
            axes.set_title(str(refusal).replace(": ", ":\n"), color=colour)
            return
        best = np.argmax(R)
        percent = 100 * self.benchmark.accuracy[best]
        best_ms = self.benchmark.latency_ms[best]
        ms = np.linspace(*x, 300)
        axes.plot(ms, 100 * equal_reward(reward, R[best], ms, target_ms), color=colour)
        axes.plot(best_ms, percent, "*", ms=28, color=colour, mec="black", zorder=4)
        axes.set_title(f"{name}: best is {percent:.1f} % at {best_ms:.1f} ms", color=colour)


def equal_reward(reward, R, ms, target_ms):
    """The accuracies (n,) with reward R at latencies ms (n,): both rewards are linear in ACC."""
    at_0 = reward(np.zeros_like(ms), ms, target_ms)
    at_1 = reward(np.ones_like(ms), ms, target_ms)
    return (R - at_0) / (at_1 - at_0)


NO_WINDOW = "no window can be opened: no display, or neither Tk nor Qt (pip install PySide6)"


def explore(argv):
    """Open the window. Raises UserError where there is no display."""
    parser = Parser(description="Sliders for T, w and y, over all cells of a benchmark.")
    parser.add_argument("--benchmark", metavar="PATH", help="a file of data/build_benchmark.py")
    args = parser.parse_args(argv)
    benchmark = nas_benchmark.load(args.benchmark)
    import matplotlib.pyplot as plt  # here, for only this needs a display

    matplotlib.rcParams.update(STYLE)
    try:
        figure = plt.figure(figsize=SIZE, dpi=80)
    except ImportError:  # MPLBACKEND asks for what cannot be had
        raise UserError(NO_WINDOW) from None
    if plt.get_backend().lower() == "agg":
        raise UserError(NO_WINDOW)
    explorer = Explorer(figure, benchmark)  # kept: its sliders live as long as it does
    plt.show()
    return explorer


def main(argv=None):
    """Open the window; returns the exit code."""
    return run(explore, argv)


if __name__ == "__main__":
    sys.exit(main())
