"""Progress bars of the demo; plain lines where nobody watches."""

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

_PLAIN_LINES: Final = 4


class ConsoleProgress:
    """Shows steps and stages on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: dict[str, TaskID] = {}
        self._quarters: dict[str, int] = {}
        self._progress = Progress(
            TextColumn("{task.description:<30}"),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bars."""
        if self._console.is_terminal:
            self._progress.stop()

    def step(self, text: str) -> None:
        """Show that a step begins."""
        self._console.print(f"{text} …", style="dim", highlight=False)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Show how much of a stage is done."""
        if not self._console.is_terminal:
            self._plain(stage, done, total)
            return
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._bars[stage], completed=done, total=total)

    def _plain(self, stage: str, done: int, total: int) -> None:
        quarter = _PLAIN_LINES * done // max(total, 1)
        if quarter > self._quarters.get(stage, 0):
            self._quarters[stage] = quarter
            self._console.print(f"{stage}: {done:,} of {total:,}", highlight=False)
