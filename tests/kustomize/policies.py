"""Every policy: a function from rendered objects to what is wrong with them."""

from collections.abc import Callable, Iterator

from tests.kustomize import links, monitoring, pods
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
    monitoring.shared,
    monitoring.shown,
)


def broken(objects: list[Object]) -> dict[str, list[str]]:
    """Give what each policy finds wrong; nothing where all is well."""
    return {policy.__name__: found for policy in POLICIES if (found := list(policy(objects)))}
