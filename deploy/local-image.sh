#!/bin/sh
# Builds the image where there is no registry: the base from Debian packages (debootstrap), Python packages from a
# wheelhouse that pip fills on this machine. Needs root, debootstrap and a running engine (DOCKER_HOST as usual).
#
#   deploy/local-image.sh [TAG]                      what has not changed comes from the engine's cache
#   FRESH=1 deploy/local-image.sh TAG                every step anew, on the same base
#
# The mirror is the one this machine's apt uses. The result differs from the published image in its base only.
set -eu
cd "$(dirname "$0")/.."
tag=${1:-zcode-proxy:local}
base=zcode-proxy-base:local
python=${PYTHON:-.venv/bin/python}
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

docker version >/dev/null # says so when no engine answers
if ! docker image inspect "$base" >/dev/null 2>&1; then
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -v '^ *#' | grep -oE '(https?|file)://[^ ]+/debian/?( |$)' | head -n 1)
  tree=$(mktemp -d)
  chmod 755 "$tree" # becomes the mode of /
  echo "making the base image from Debian $suite …"
  # A mount namespace of its own: what debootstrap mounts inside the tree is gone before the tree is removed.
  unshare -m sh -euc "debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates $suite $tree ${mirror:?no Debian mirror in the sources of apt} >$tree.log 2>&1 || { tail $tree.log >&2; exit 1; }
    rm -rf $tree/var/cache/apt $tree/var/lib/apt/lists $tree/var/log $tree/usr/share/doc $tree/usr/share/man $tree/usr/share/locale
    tar -C $tree --numeric-owner --one-file-system --sort=name --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -c . >$tree.tar"
  rm -rf --one-file-system "$tree" "$tree.log"
  docker import "$tree.tar" "$base" >/dev/null
  rm -f "$tree.tar"
fi

version=$(docker run --rm --network none --entrypoint python3 "$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir -p dist/wheelhouse
# pip judges markers by its own interpreter, not by the one the wheels are for: what a marker on the version may or may
# not need is fetched in any case, and pip in the image takes what it needs.
sed "s/ ; python_full_version [<>=]* '[^']*' \\\\$/ \\\\/" requirements.lock >dist/wheelhouse.lock
"$python" -m pip download -qq --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --python-version "$version" -d dist/wheelhouse -r dist/wheelhouse.lock -r deploy/build.lock

# The context goes in as a tar of exactly what the image is made of, which every builder takes, old or new.
tar -c --exclude=__pycache__ --owner=0 --group=0 services pyproject.toml README.md LICENSE requirements.lock \
  deploy/Dockerfile deploy/build.lock deploy/sbom.py dist/wheelhouse |
  DOCKER_BUILDKIT=0 docker build -q ${FRESH:+--no-cache} -f deploy/Dockerfile -t "$tag" \
    --build-arg BASE_IMAGE="$base" --build-arg PIP_NO_INDEX=1 \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" - 2>dist/build.log ||
  { tail -n 20 dist/build.log >&2; exit 1; }
