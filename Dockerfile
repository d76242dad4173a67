# Two images: the service (`docker build .`) and its traffic (`docker build --target locust .`); see docs/containers.md.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

# pip and the build backend: what installs stays behind in these stages.
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /build && python3 -m venv --without-pip /venv
WORKDIR /src
COPY images/build.lock images/
RUN /build/bin/pip install -q --require-hashes --only-binary :all: --no-deps -r images/build.lock

# What the service needs, and the service: two layers, so that a change of its code is a small download.
FROM build AS service-venv
COPY images/service.lock images/
RUN /build/bin/pip --python /venv/bin/python install -q --require-hashes --only-binary :all: --no-deps -r images/service.lock \
    && echo /app > "$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/app.pth"

FROM service-venv AS service-app
COPY . .
RUN /build/bin/pip wheel -q --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/pip --python /venv/bin/python install -q --no-deps --target /app /wheels/*.whl

FROM build AS locust-venv
COPY images/locust.lock images/
RUN /build/bin/pip --python /venv/bin/python install -q --require-hashes --only-binary :all: --no-deps -r images/locust.lock

# What both images run on. The base brings pip, which nobody needs here but an intruder.
FROM ${PYTHON_IMAGE} AS python
RUN find /usr -xdev \( -path '*/ensurepip' -o -path '*/site-packages/pip*' -o -path '/usr/share/python-wheels' \
        -o -path '/usr/local/bin/pip*' \) -prune -exec rm -rf {} +
# A read-only root with a writable /tmp is all that is needed, and any user will do.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM python AS locust
LABEL org.opencontainers.image.title="chaosapi-locust" \
      org.opencontainers.image.description="Traffic for chaosapi: Locust with its scenarios."
COPY --from=locust-venv /venv /venv
COPY loadtests /loadtests
ENV LOCUST_LOCUSTFILE=/loadtests
EXPOSE 8089 5557 9646
ENTRYPOINT ["locust"]

FROM python AS service
LABEL org.opencontainers.image.title="chaosapi" \
      org.opencontainers.image.description="A practice range for on-call: a service whose failures are dialled in at runtime."
COPY --from=service-venv /venv /venv
COPY --from=service-app /app /app
ENV PATH=/app/bin:$PATH CHAOSAPI_HOST=0.0.0.0 CHAOSAPI_PORT=8000 CHAOSAPI_ADMIN_PORT=8001
EXPOSE 8000 8001
# Alive, not ready: a fault on readiness is no reason for anybody to restart it. A `pause` may stand for a minute.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=9 CMD ["python3", "-IS", "-c", \
    "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['CHAOSAPI_PORT'])); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["chaosapi"]
CMD ["serve"]
