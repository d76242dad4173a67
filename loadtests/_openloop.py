"""The open loop: each request starts when it is due, however slow the answers are."""

import json
from time import perf_counter
from typing import ClassVar

import gevent
from _arrivals import Arrival
from _coordinator import Coordinator
from _customer import Customer
from _retries import Budget
from _run import Run
from _shop import Request, ShopState
from gevent.pool import Group
from locust import task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.env import Environment
from locust.exception import StopUser

MAX_DELAY_S = 1.0
"""A request that could not start within this time after it was due is counted as missed."""
PREFILLED_CARTS = 10
"""Carts filled before the run, so that its first checkouts have one; three of them are bought, so that orders exist."""


class OpenLoop(Customer):
    """One Locust user in each process, which sends the requests of all customers.

    Latency is measured from the moment a request is due, so it includes a late start. Requests that are not sent are
    counted as missed: "saturated" at the limit of requests in flight, "late" beyond MAX_DELAY_S, "unanswered" when the
    run ended before the answer, "broken" when sending raised an error.
    """

    coordinator: ClassVar[Coordinator]

    def __init__(self, environment: Environment) -> None:
        self._run = self.coordinator.run
        self._shop = ShopState()
        self._budget = Budget()
        self._answers = Group()
        self._prefills = Group()
        if self._run:
            self.concurrency = self._run.choice.inflight + PREFILLED_CARTS
            self.network_timeout = self._run.choice.scenario.patience
            self.connection_timeout = min(self.connection_timeout, self.network_timeout)
        super().__init__(environment)

    @task
    def send_plan(self) -> None:
        """Send this process's part of the plan."""
        run = self._run
        if (
            run is None or not run.claim()
        ):  # Locust moves users here when it loses a worker; the part is sent by another
            raise StopUser
        try:
            for number in range(PREFILLED_CARTS):
                self._prefills.spawn(self._fill_cart, run, run.prefill_id(number), pay=number < 3)
            for arrival in run.arrivals():
                if not self._wait_for(run, run.start + arrival.due):
                    break
                self._start(run, arrival, run.start + arrival.due)
            self._answers.join(timeout=self.environment.stop_timeout)
        finally:
            self._finish(run)
        raise StopUser

    def _wait_for(self, run: Run, due: float) -> bool:
        """Sleep until `due`; return False if the run is stopped before."""
        delay = due - perf_counter()
        if delay > 0:
            return not run.stopping.wait(delay)
        gevent.sleep(0)  # late: still let requests in flight proceed
        return not run.stopping.is_set()

    def _start(self, run: Run, arrival: Arrival, due: float) -> None:
        run.tally.planned += 1
        self.metrics.planned.inc()
        late = perf_counter() - due
        if late > MAX_DELAY_S:
            self._miss(run, "late", f"could not start within {MAX_DELAY_S:g} s: this process is too slow")
        elif len(self._answers) >= run.choice.inflight:
            self._miss(run, "saturated", f"{run.choice.inflight} requests were in flight (--inflight)")
        else:
            run.tally.late = max(run.tally.late, late)
            self._answers.spawn(self._send_or_miss, run, arrival, due)

    def _send_or_miss(self, run: Run, arrival: Arrival, due: float) -> None:
        try:
            self._send(run, arrival, due)
        except Exception as problem:  # noqa: BLE001 - whatever it was, the request is in no other number
            self._miss(run, "broken", f"could not be sent: {problem!r}")

    def _send(self, run: Run, arrival: Arrival, due: float) -> None:
        """Send a request, and retry it as the policy says."""
        request = self._shop.request(arrival.route, run.cart_id(arrival.request_id), arrival.draws)
        headers = {"x-request-id": arrival.request_id, "x-user-id": arrival.user_id}
        self._budget.earn(run.choice.policy(arrival.due))
        tried = 0
        while True:
            status, body = self.send(request, headers, due)
            policy = run.choice.policy(perf_counter() - run.start)
            failed = status == 0 or status >= 500
            if not failed or tried >= policy.retries or run.stopping.is_set() or not self._budget.allows(policy):
                break
            tried += 1
            due = perf_counter() + policy.pause(tried, arrival.draws[tried % 2])
            gevent.sleep(due - perf_counter())
            headers["x-request-id"] = f"{arrival.request_id}-r{tried}"
            run.tally.retries += 1
            self.metrics.retries.inc()
        self._shop.answered(request, status, body)

    def _finish(self, run: Run) -> None:
        for _ in range(len(self._answers)):
            self._miss(run, "unanswered", "had no answer yet when the run ended")
        self._answers.kill()
        self._prefills.kill()
        run.tally.done = True
        self.coordinator.report()

    def _miss(self, run: Run, reason: str, text: str) -> None:
        run.tally.missed[reason] += 1
        self.metrics.missed.labels(reason).inc()
        self.environment.stats.log_error("MISSED", reason, text)

    def _fill_cart(self, run: Run, request_id: str, *, pay: bool) -> None:
        """Fill a cart before the plan starts, and buy it if `pay`; neither is counted."""
        cart = run.cart_id(request_id)
        filled = self._post_uncounted(
            self._shop.request("POST /api/cart/{cart_id}/items", cart, (0.0, 0.0)), request_id
        )
        if filled and pay and perf_counter() < run.start:
            self._post_uncounted(self._shop.request("POST /api/checkout", cart, (0.0, 0.0)), f"{request_id}-pay")

    def _post_uncounted(self, request: Request, request_id: str) -> bool:
        agent = self.client.client
        body = json.dumps(request.body)
        headers = {"x-request-id": request_id, "content-type": "application/json"}
        try:
            answer = agent.urlopen(f"{self.host}{request.path}", method="POST", payload=body, headers=headers)
            self._shop.answered(request, answer.status_code, json.loads(answer.content))
        except (*FAILURE_EXCEPTIONS, ValueError):
            return False
        return True
