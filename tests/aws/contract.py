"""What the contract's tests run against: the embedded AWS, and the model in this process."""

import asyncio
from typing import Final

from aws.client import Client
from simulation.aws.account import Account
from simulation.aws.clock import MachineClock
from simulation.aws.cloud import Cloud
from simulation.client import ModelClient, direct

EMBEDDED: Final = "embedded AWS"
MODEL: Final = "model"


def model_client(service: str) -> Client:
    """A client of a model of its own, on the running loop's time."""
    cloud = Cloud(Account(MachineClock(asyncio.get_running_loop())))
    return ModelClient(service, direct(cloud))
