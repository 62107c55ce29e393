# One image for both programs: `docker run IMAGE worker`, `docker run IMAGE ingest`.
# The tag is for readers, the digest is what is built: docs/decisions/image.md.
ARG PYTHON_IMAGE=python:3.14-slim-trixie@sha256:8a14a31f4bf634c04722154f30eb33998b4068de8b83b6b2800ec1b7238555d0

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# Two environments: pip and the build tools live in the first, which is left behind.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv
COPY requirements.lock infra/container/build.lock ./
RUN /opt/build/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes \
      -r build.lock \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-deps \
      --only-binary :all: --require-hashes -r requirements.lock
COPY . .
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-index \
      --target /opt/app /dist/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="participation-pipeline" \
      org.opencontainers.image.description="Takes in a flash event's requests and decides each exactly once." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The base's own pip would be the one tool left that can install something.
RUN useradd --system --no-log-init --uid 10001 --user-group --home-dir /nonexistent \
      --shell /usr/sbin/nologin participation \
 && rm -rf /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
      /usr/local/lib/python3*/site-packages/setuptools* \
      /usr/local/lib/python3*/site-packages/wheel* /usr/local/bin/pip*
# Two layers: a new version of the code does not move the dependencies again.
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/app /opt/app
ENV PATH=/opt/app/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/app \
    PARTICIPATION_REVISION=${REVISION} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number: a platform that insists on a user other than root can check it.
USER 10001:10001
WORKDIR /
EXPOSE 8080 9000
STOPSIGNAL SIGTERM
# Exec form: the program is the container's first process, and SIGTERM reaches it.
ENTRYPOINT ["participation"]
CMD ["worker"]
