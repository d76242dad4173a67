from chaosapi.lab import environment

MINE = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": "/x",
    "CHAOSAPI_ADMIN_TOKEN": "token",
    "CHAOSAPI_CONSOLE_PASSWORD": "password",
    "CHAOSAPI_STORE": "redis://:secret@host",
    "CHAOSAPI_SCENARIO_RATE": "20",
    "LOCUST_HOST": "http://x",
    "GF_SECURITY_ADMIN_PASSWORD": "grafana",
    "AWS_SECRET_ACCESS_KEY": "cloud",
    "HTTPS_PROXY": "http://me:secret@proxy",
}


def test_programs_get_only_harmless_environment_variables() -> None:
    """Unknown variables are removed: any may be a secret."""
    assert environment.shared(MINE).keys() == {"PATH", "HOME", "LC_ALL", "PYTHONPATH"}


def test_each_program_gets_its_own_settings() -> None:
    """The service and the console get the token, the console alone gets the password."""
    assert environment.service(MINE).keys() == {"CHAOSAPI_ADMIN_TOKEN", "CHAOSAPI_STORE", "CHAOSAPI_SCENARIO_RATE"}
    assert environment.console(MINE).keys() == {"CHAOSAPI_ADMIN_TOKEN", "CHAOSAPI_CONSOLE_PASSWORD"}
    assert environment.traffic(MINE).keys() == {"CHAOSAPI_SCENARIO_RATE", "LOCUST_HOST"}
    assert environment.grafana(MINE).keys() == {"GF_SECURITY_ADMIN_PASSWORD"}
