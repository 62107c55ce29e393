"""Notices a bus that disappears: PutEvents would keep answering 200 and drop every event."""

import anyio
import structlog

from aws.bus import Bus
from aws.errors import Fatal

log = structlog.get_logger("publisher")


class BusWatch:
    """Checks every so often whether a bus exists."""

    def __init__(self, bus: Bus, interval_s: float) -> None:
        self.bus_is_missing = False
        self._bus = bus
        self._interval_s = interval_s

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await anyio.sleep(self._interval_s)
            try:
                await self._bus.check()
            except Fatal as error:
                is_missing = error.code.startswith("ResourceNotFound")
                if is_missing and not self.bus_is_missing:
                    log.warning("bus_missing", bus=self._bus.name)
                self.bus_is_missing = is_missing
            except Exception as error:  # noqa: BLE001 - unknown is not missing
                log.debug("bus_check_failed", error=str(error))
            else:
                self.bus_is_missing = False
