#!/usr/bin/env bash
# Builds the Dockerfile and runs the image for real, on a Debian machine without Docker.
#
# Needs root, buildah and debootstrap (apt-get install buildah debootstrap), and `make setup`.
# The base image is made from Debian's own packages and takes the place of the one that the Dockerfile
# names by its digest; everything else is built as it stands. Then tests/infra/test_image.py runs the
# worker and ingest in the image against the embedded AWS. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."

BASE=docker.io/library/$(sed -n 's/^ARG PYTHON_IMAGE=\(.*\)@.*/\1/p' Dockerfile)
PYTHON=python$(sed 's/.*python:\([0-9.]*\)-.*/\1/' <<<"$BASE")
readonly BASE PYTHON
# The release of Debian that packages this Python; the scripts of `sid` set up any recent one.
readonly SUITE=forky
readonly IMAGE=localhost/participation-pipeline:verify
readonly WORK=$PWD/var/container
readonly STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
export BUILDAH_ISOLATION=chroot

for tool in buildah debootstrap .venv/bin/pytest; do
  command -v "$tool" >/dev/null || { echo "verify: $tool is missing" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "verify: chroot isolation needs root" >&2; exit 2; }

mkdir -p "$WORK"
b() { buildah --root "$WORK/storage" --runroot "$WORK/run" --storage-driver "$STORAGE_DRIVER" "$@"; }

make_base() {
  local root=$WORK/base mirror
  mirror=$(grep -rhoE 'https?://[^ ]*/debian/?( |$)' /etc/apt/sources.list* 2>/dev/null | head -n 1 | tr -d ' ' || true)
  rm -rf "$root"
  # ensurepip comes with python3-venv; like the real base, ours gets no compiler.
  debootstrap --variant=minbase --include="$PYTHON,$PYTHON-venv,ca-certificates" \
    "$SUITE" "$root" "$mirror" /usr/share/debootstrap/scripts/sid \
    >"$WORK/debootstrap.log"
  ln -s "/usr/bin/$PYTHON" "$root/usr/local/bin/python3"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* \
    "$root"/usr/share/man/* "$root"/var/log/*.log
  local container
  container=$(b from --name base scratch)
  b add -q "$container" "$root" / >/dev/null
  b config --cmd python3 --env PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    "$container"
  b commit -q "$container" "$BASE" >/dev/null
  b rm "$container" >/dev/null
  rm -rf "$root"
}

# Where this machine's package index is, and whom it trusts: mounted for the build, in no layer.
pip_configuration() {
  echo "[global]"
  echo "cert = /run/index-ca.crt"
  echo "disable-pip-version-check = true"
  local name variable value
  for name in index-url extra-index-url trusted-host proxy timeout; do
    variable=PIP_$(tr 'a-z-' 'A-Z_' <<<"$name")
    value=${!variable:-$(.venv/bin/pip config get "global.$name" 2>/dev/null || true)}
    [ -z "$value" ] || echo "$name = $value"
  done
}

if ! b inspect --type image "$BASE" >/dev/null 2>&1; then
  echo "verify: making the base image from Debian's packages"
  make_base
fi

echo "verify: building"
pip_configuration >"$WORK/pip.conf"
ca=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
b bud --pull-never --quiet --network host --tag "$IMAGE" \
  --volume "$WORK/pip.conf:/etc/pip.conf:ro" --volume "$ca:/run/index-ca.crt:ro" \
  --build-arg PYTHON_IMAGE="$BASE" \
  --build-arg VERSION="$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
  --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
  . >"$WORK/build.log" 2>&1 || { tail -n 40 "$WORK/build.log" >&2; exit 1; }

container=$(b from --pull-never "$IMAGE")
trap 'b rm "$container" >/dev/null; rm -f "$WORK/pip.conf"' EXIT
IMAGE_CONTAINER=$container
IMAGE_CONFIG=$WORK/image.json
IMAGE_ROOT=$(b mount "$container")
IMAGE_RUN="buildah --root $WORK/storage --runroot $WORK/run --storage-driver $STORAGE_DRIVER run --isolation chroot"
export IMAGE_CONTAINER IMAGE_CONFIG IMAGE_ROOT IMAGE_RUN
b inspect --type image "$IMAGE" >"$IMAGE_CONFIG"

.venv/bin/pytest tests/infra/test_image.py "$@"

size_of() { b images --format '{{.Size}}' "$1"; }
added=$(du -sm "$IMAGE_ROOT/opt" | cut -f 1)
echo "verify: image $(size_of "$IMAGE"), of which /opt (dependencies and code) $added MiB," \
  "on a base of $(size_of "$BASE")"
