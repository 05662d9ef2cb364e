import io

import pytest
from rich.console import Console

from realtime.display import Display


class ClosedTerminal(io.StringIO):
    """A terminal whose window was closed."""

    def write(self, text):
        raise OSError(5, "Input/output error")

    def flush(self):
        raise OSError(5, "Input/output error")


def terminal(file=None):
    return Console(file=file or io.StringIO(), force_terminal=True, width=100, highlight=False)


def test_without_a_terminal_only_the_lines_that_stay_are_written():
    console = Console(file=io.StringIO())

    with Display(console) as display:
        display.say("hello")
        display.update("30 fps", 1)

    assert console.file.getvalue() == "hello\n"


def test_a_terminal_shows_the_line_that_lives():
    console = terminal()

    with Display(console) as display:
        display.update("29.9 fps", 1)
        display.update("30.1 fps", 2)

    assert "29.9 fps" in console.file.getvalue()
    assert "30.1 fps" in console.file.getvalue()


def test_a_finite_source_has_a_progress_bar():
    console = terminal()

    with Display(console, total=200) as display:
        display.update("120 fps", 50)

    assert "50/200" in console.file.getvalue()


@pytest.mark.parametrize("total", [None, 200])
def test_a_terminal_that_is_closed_is_no_error(total):
    display = Display(terminal(ClosedTerminal()), total=total)

    with display:
        display.say("hello")
        display.update("30 fps", 1)
        display.update("30 fps", 2)


def test_brackets_in_a_line_are_not_markup():
    console = Console(file=io.StringIO())

    with Display(console) as display:
        display.say("pip install 'catchlight[tensorrt]'")

    assert "catchlight[tensorrt]" in console.file.getvalue()
