"""The faults that concern nodes: kills, stops, pauses and wrong clocks, each at its time."""

from collections.abc import Callable, Mapping
from typing import Final

from simulation.loop import VirtualLoop
from simulation.nodes import Life, Node
from simulation.scenario import Fault, Kill, Pause, Skew, Stop

DRAIN_GRACE_S: Final = 2.0
"""A process that was asked to stop may end so much after its deadline."""


class NodeFaults:
    """Brings a scenario's faults upon its nodes."""

    def __init__(
        self,
        loop: VirtualLoop,
        nodes: Mapping[str, Node],
        check_ended: Callable[[Life], None],
    ) -> None:
        self._loop = loop
        self._nodes = nodes
        self._check_ended = check_ended
        self.kills = 0

    def plan(self, fault: Fault) -> None:
        """Have a fault happen at its time, if it concerns a node."""
        match fault:
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
