"""The closed loop: users who wait for each answer before they ask again, so a slow service gets less traffic."""

import random
from time import perf_counter
from uuid import uuid4

from _customer import Customer
from _scenarios import MIX
from _shop import Customers
from locust import task
from locust.env import Environment

# One request a second from each user: so the number of users is the rate, as long as no answer takes over a second.
PERIOD = 1.0


class ShopUser(Customer):
    """A customer who mostly looks around and now and then buys; each task is one request."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._shop = Customers()
        self._user_id = f"u-{uuid4().hex[:12]}"
        self._due = perf_counter()

    def on_start(self) -> None:
        """Come in at a random moment of the period, so that users who start together spread out."""
        self._due -= random.random() * PERIOD
        self.wait()  # type: ignore[no-untyped-call]  # Locust's is untyped

    def wait_time(self) -> float:
        """Return the seconds until the next request is due, counted from the last one's due time and not its answer.

        Locust's constant_throughput counts alike but from the user's birth, which lines all users up.
        """
        self._due = max(self._due + PERIOD, perf_counter())
        return self._due - perf_counter()

    @task
    def ask_something(self) -> None:
        """Ask for one thing of the mix; who has nothing to pay for fills a cart, and who has no order pays."""
        (route,) = random.choices(list(MIX), list(MIX.values()))
        name = uuid4().hex
        request = self._shop.request(self._shop.possible(route), name, (random.random(), random.random()))
        status, body = self.ask(request, {"x-request-id": name, "x-user-id": self._user_id})
        self._shop.answered(request, status, body)
