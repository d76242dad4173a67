"""All policies: functions from rendered objects to findings."""

from collections.abc import Callable, Iterator

from tests.kustomize import links, monitoring, parts, pods
from tests.kustomize.manifests import Object

Policy = Callable[[list[Object]], Iterator[str]]

POLICIES: tuple[Policy, ...] = (
    pods.restricted,
    pods.confined,
    pods.credentialless,
    pods.probed,
    pods.limited,
    pods.pinned,
    pods.mounted,
    pods.small,
    links.selecting,
    links.served,
    links.addressed,
    links.referenced,
    links.routed,
    links.scaled,
    links.closed,
    monitoring.scraped,
    monitoring.picked,
    monitoring.delivered,
    monitoring.profiled,
    monitoring.configured,
    monitoring.graceful,
    monitoring.shared,
    monitoring.shown,
)


def broken(objects: list[Object], overlay: str = "") -> dict[str, list[str]]:
    """Return the findings of each policy, and the missing parts of the overlay."""
    found = {policy.__name__: list(policy(objects)) for policy in POLICIES}
    found["complete"] = list(parts.complete(objects, overlay))
    return {name: wrong for name, wrong in found.items() if wrong}
