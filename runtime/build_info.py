"""The figure that says which build runs, by Prometheus' habit: a 1 whose labels are the facts."""

from prometheus_client import CollectorRegistry, Info

from config import build


def expose(registry: CollectorRegistry) -> None:
    """Add `participation_build_info{version,revision}`."""
    info = Info("participation_build", "Version and revision of what runs.", registry=registry)
    info.info({"version": build.version(), "revision": build.revision()})
