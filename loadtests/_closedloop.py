"""The closed loop: users wait for each answer before the next request, so a slow service gets less traffic."""

import random
from time import perf_counter
from uuid import uuid4

from _customer import Customer
from _scenarios import MIX
from _shop import ShopState
from locust import task
from locust.env import Environment

# Each user sends one request per second: the number of users is the rate while answers take less than a second.
PERIOD = 1.0


class ShopUser(Customer):
    """A customer who mostly browses and sometimes buys; each task is one request."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._shop = ShopState()
        self._user_id = f"u-{uuid4().hex[:12]}"
        self._due = perf_counter()

    def on_start(self) -> None:
        """Start at a random moment of the period, so that users who start together spread out."""
        self._due -= random.random() * PERIOD
        self.wait()  # type: ignore[no-untyped-call]  # Locust's is untyped

    def wait_time(self) -> float:
        """Return the seconds until the next request is due, measured from the due time of the last one.

        Locust's constant_throughput measures from the start of the user, so that all users send at the same moments.
        """
        self._due = max(self._due + PERIOD, perf_counter())
        return self._due - perf_counter()

    @task
    def send_one(self) -> None:
        """Send a request to a random route of the mix, or to the route that must come before it."""
        (route,) = random.choices(list(MIX), list(MIX.values()))
        name = uuid4().hex
        request = self._shop.request(self._shop.possible_step(route), name, (random.random(), random.random()))
        status, body = self.send(request, {"x-request-id": name, "x-user-id": self._user_id})
        self._shop.answered(request, status, body)
