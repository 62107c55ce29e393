"""The faults that are no call's: kills, stops, pauses, wrong clocks, and events with a defect."""

from collections.abc import Callable, Mapping
from typing import Final

from simulation.loop import VirtualLoop
from simulation.nodes import Life, Node
from simulation.scenario import Defect, Fault, Kill, Pause, Skew, Stop

DRAIN_GRACE_S: Final = 2.0
"""A process that was asked to stop may end so much after its deadline."""


class NodeFaults:
    """Brings a scenario's faults upon its nodes and events."""

    def __init__(
        self,
        loop: VirtualLoop,
        nodes: Mapping[str, Node],
        check_ended: Callable[[Life], None],
        break_events: Callable[[], None],
        fix_events: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._nodes = nodes
        self._check_ended = check_ended
        self._break_events = break_events
        self._fix_events = fix_events
        self.kills = 0

    def plan(self, fault: Fault) -> None:
        """Have a fault happen at its time; those of calls are the network's."""
        match fault:
            case Defect():
                self._at(fault.from_s, self._break_events)
                self._at(fault.until_s, self._fix_events)
            case Kill():
                self._at(fault.at_s, self._kill, fault)
            case Stop():
                self._at(fault.at_s, self._stop, fault)
            case Pause():
                self._at(fault.at_s, self._nodes[fault.node].pause, fault.for_s)
            case Skew():
                self._at(fault.at_s, self._skew, fault)

    def _at(self, delay_s: float, act: Callable[..., object], *arguments: object) -> None:
        self._loop.call_in_the_world(delay_s, act, *arguments)

    def _kill(self, fault: Kill) -> None:
        node = self._nodes[fault.node]
        if node.life is not None:
            self.kills += 1
            node.kill()
            if fault.restart_after_s is not None:
                self._at(fault.restart_after_s, node.start_unless_alive)

    def _stop(self, fault: Stop) -> None:
        node = self._nodes[fault.node]
        life = node.stop(fault.restart_after_s)
        if life is not None:
            self._at(node.drains_in_s + DRAIN_GRACE_S, self._check_ended, life)

    def _skew(self, fault: Skew) -> None:
        self._nodes[fault.node].offset_ms = fault.offset_ms
