# The image of every part of Headrace: ingest, worker and the command line. One process a container.
#
# Versions are pinned by tag; pin the digest too (FROM python:…@sha256:…) where your registry can tell it.
# deploy/requirements.lock pins every library by hash: production alone, without the embedded Kafka and the tests.

FROM python:3.13.7-slim-bookworm AS build
WORKDIR /src
# Wheels only: nothing is compiled here, and there is no compiler to leave behind.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/headrace && python -m venv /opt/build
COPY deploy/build.lock deploy/requirements.lock deploy/
RUN pip --python /opt/build/bin/python install --require-hashes -r deploy/build.lock
RUN pip --python /opt/headrace/bin/python install --require-hashes -r deploy/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY headrace headrace
COPY ingest ingest
COPY streams streams
COPY connectors connectors
COPY ops/pricing ops/pricing
RUN /opt/build/bin/python -m hatchling build -t wheel -d dist
RUN pip --python /opt/headrace/bin/python install --no-deps dist/*.whl

FROM python:3.13.7-slim-bookworm
LABEL org.opencontainers.image.title="headrace" \
      org.opencontainers.image.description="Verified webhooks in, durable deliveries out." \
      org.opencontainers.image.licenses="Apache-2.0"
# A fixed id, so that volumes and secrets can be given to it.
RUN groupadd --system --gid 10001 headrace \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/headrace \
       --shell /usr/sbin/nologin headrace \
    && install -d -o headrace -g headrace -m 0750 /var/lib/headrace /etc/headrace
COPY --from=build /opt/headrace /opt/headrace
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEADRACE_CONFIG=/etc/headrace/headrace.yaml \
    HEADRACE_DATA_DIR=/var/lib/headrace \
    HEADRACE_ADMIN_HOST=0.0.0.0 \
    HEADRACE_ADMIN_PORT=8081
USER 10001:10001
WORKDIR /var/lib/headrace
# No VOLUME: one that nobody named would be made anew with every container, and left behind by it.
EXPOSE 8080 8081
# SIGTERM drains. Run it under an init (docker run --init; compose says init: true): the first process of a container
# is otherwise deaf to SIGTERM until it has set its own handlers.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["headrace", "health"]
ENTRYPOINT ["headrace"]
CMD ["--help"]
