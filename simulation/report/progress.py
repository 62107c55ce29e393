"""What a long run or campaign shows of itself: a line that changes, or plain lines now and then."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.text import Text

from simulation.outcome import Second

_EVERY_S: Final = 10.0


class Progress:
    """Shows one line on a console; where nobody watches, one in ten seconds (of `now_s`)."""

    def __init__(self, console: Console, now_s: Callable[[], float]) -> None:
        self._console = console
        self._now_s = now_s
        self._shown_at_s = now_s()
        self._status = console.status("")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    def second(self, second: Second) -> None:
        """Show where a run stands."""
        self.show(
            f"second {second.at_s:.0f}: {second.clicks:,} clicks, {second.accepted:,} accepted, "
            f"{second.decided:,} decided"
        )

    def show(self, text: str) -> None:
        """Show a line of one's own."""
        if self._console.is_terminal:
            self._status.update(Text(text, style="dim"))
        elif self._now_s() - self._shown_at_s >= _EVERY_S:
            self._shown_at_s = self._now_s()
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
