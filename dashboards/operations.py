"""What operators have changed in the shop, and what their changes do to requests."""

from panels import GREEN, ORANGE, Panel, across, course, states

from chaosapi.promql import Job


def operations(service: Job) -> list[Panel]:
    """Return the releases, flags and settings that are in force, and the requests that operators refuse."""
    releases = course(
        "Releases",
        "How many replicas run each release. Two lines mean a deployment under way, or one that has stopped half-way:"
        " compare when the first replica changed with when the trouble began.",
        "short",
        (service.now("count", "shop_release_info", "version"), "{{version}}"),
        empty="No data",
    )
    switches = states(
        "Flags and providers",
        "Which flags are on, and which provider stands behind payments. A change here just before a change of the"
        " signals is the first suspect, and turning it back the first remedy.",
        {0: ("off", ORANGE), 1: ("on", GREEN)},
        (service.now("max", "shop_flag_enabled", "flag"), "{{flag}}"),
        (service.now("max", "shop_provider_active", "provider"), "{{provider}}"),
        empty="No data",
    )
    settings = course(
        "Settings",
        "The time-outs in seconds, retries and limits that are in force. More retries or a longer time-out multiply the"
        " load on a sick dependency; a lower limit fills the queue.",
        "short",
        (service.now("max", "shop_setting", "setting"), "{{setting}}"),
        empty="No data",
    )
    refused = course(
        "Refused by operators",
        "Requests that a limit, a block or shedding turned away, by class of route and reason. They are meant to fail,"
        " so that the others do not; they cost budget as other failures do if their status is a 5xx.",
        "reqps",
        (service.rate("chaosapi_edge_refused_total", "class", "reason"), "{{class}} {{reason}}"),
        empty="No data",
    )
    shed = course(
        "Share that is shed",
        "The share of each class of routes that is to be refused, as operators have set it. At 100 % nobody is served.",
        "percentunit",
        (service.now("max", "shop_shed_ratio", "class"), "{{class}}"),
        empty="No data",
    )
    removed = course(
        "Out of service",
        "Products in quarantine, and replicas out of rotation. What stays here after an incident was forgotten.",
        "short",
        (service.now("max", "shop_quarantined_products"), "products"),
        (service.now("sum", "chaosapi_replica_drained"), "replicas"),
        empty="No data",
    )
    served = course(
        "Degraded answers",
        "Searches that are answered from earlier results, and requests for products in quarantine. They look well in"
        " all other panels: what users miss is in the content.",
        "reqps",
        (service.rate("shop_searches_total", where='results="cached"'), "cached searches"),
        (service.rate("shop_quarantined_requests_total"), "quarantined products"),
        empty="No data",
    )
    payments = course(
        "Payments by provider",
        "Orders that each provider has charged. After a fail-over one line falls while the other rises; both low means"
        " that checkouts fail before they pay.",
        "reqps",
        (service.rate("shop_payments_total", "provider"), "{{provider}}"),
        empty="No data",
    )
    return across(6, [releases, switches, settings, shed, refused, served, removed, payments])
