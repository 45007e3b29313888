# Where the test server of .ci/mongo lives; read by start.sh and stop.sh. All of it
# can be set from outside, so that several servers stand beside each other.
D=${DOCDB_DIR:-/tmp/handoff-mongo}                                # root, data, logs, process ids
C=${DOCDB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/handoff/mongo} # downloads, kept between runs
SUITE=${DOCDB_SUITE:-sid}                                         # of Debian, has postgresql-18-documentdb
FERRETDB=${FERRETDB_VERSION:-v2.7.0}
PORT=${DOCDB_PORT:-27017}
PGPORT=${DOCDB_PGPORT:-15433}
PGU=54321                                                         # user and group PostgreSQL runs as; needs no name on the host
R=$D/root
PGB=/usr/lib/postgresql/18/bin

say() { echo "[mongo ${SECONDS}s] $*" >&2; }
fail() { say "FAILED: $1"; [ -z "${2:-}" ] || tail -n 20 "$2" >&2 || true; exit 1; }
# inr COMMAND: runs it inside the root, as PostgreSQL's user, with nothing of this environment.
inr() { chroot --userspec=$PGU:$PGU "$R" /usr/bin/env -i PATH=/usr/bin:$PGB LC_ALL=C "$@"; }
# front and back print the process id of a running FerretDB and postmaster of this server, or nothing.
front() {
  local pid
  pid=$(cat "$D/ferretdb.pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$D/bin/ferretdb")" ] && echo "$pid"
}
back() {
  local pid
  pid=$(head -1 "$R/pg/data/postmaster.pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/root" 2>/dev/null)" = "$(readlink -f "$R")" ] && echo "$pid"
}
is_zombie() { [ -n "$1" ] && grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }
