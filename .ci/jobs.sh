# Jobs of .ci/run: commands that run beside each other, each for a bounded time, with
# their output kept. Sourced; $logs is the folder of the outputs.
#   job NAME LIMIT COMMAND...   starts one; it is ended after LIMIT seconds, and told so
#   join NAME...                waits for them, prints what each said, notes who failed
#   run NAME LIMIT COMMAND...   both at once, with the output as it comes
#   tell_failed                 prints the failures again, by name; exit 1 if there are any
# A job is a process group of its own: who ends it ends all that it has started.
declare -A job_of=()
failed=()

start_job() { # LIMIT COMMAND...
  set -m
  timeout -k 20 "$@" </dev/null &
  set +m
}

job() {
  local name=$1 limit=$2
  shift 2
  start_job "$limit" "$@" >"$logs/$name.log" 2>&1
  job_of[$name]=$!
}

# ended NAME STATUS: notes a failure.
ended() {
  unset "job_of[$1]"
  [ "$2" != 0 ] || return 0
  case $2 in 124 | 137) echo "$1 did not end in its time and was ended" | tee -a "$logs/$1.log" ;; esac
  failed+=("$1")
}

join() {
  local name status
  for name in "$@"; do
    [ -n "${job_of[$name]:-}" ] || continue
    status=0
    wait "${job_of[$name]}" || status=$?
    printf -- '-- %s\n' "$name"
    cat "$logs/$name.log"
    ended "$name" "$status"
  done
}

run() {
  local name=$1 limit=$2 status=0 out tee
  shift 2
  exec {out}> >(exec tee "$logs/$name.log")
  tee=$!
  start_job "$limit" "$@" >&"$out" 2>&1 {out}>&-
  job_of[$name]=$!
  exec {out}>&-
  wait "${job_of[$name]}" || status=$?
  for _ in $(seq 50); do kill -0 "$tee" 2>/dev/null || break; sleep 0.1; done # all of it is out
  ended "$name" "$status"
}

# end_jobs ends what still runs.
end_jobs() {
  local pid
  for pid in "${job_of[@]}"; do kill -- "-$pid"; done
  wait
} 2>/dev/null

# failures NAME: of what a job said, the packages that failed, or the end of it.
failures() {
  awk '
    /^(ok  |\?   )\t/ || /^\t.*coverage: / { text = ""; next }
    { text = text $0 "\n" }
    /^FAIL\t/ { printf "%s", text; text = ""; found = 1 }
    END { if (!found) exit 1 }
  ' "$logs/$1.log" || tail -n 40 "$logs/$1.log"
}

# named NAME: what failed of a job, one line each: a package (or its folder) and its
# tests, of which a subtest stands for those that it is in; what a script names itself.
named() {
  awk '
    function tell() { if (last != "") tests = tests " " last; last = "" }
    /^ *--- FAIL: / { if ($3 != last && index($3, last "/") != 1) tell(); last = $3; next }
    /^FAIL\t/ { tell(); sub(/^FAIL\t/, ""); sub(/\t.*/, ""); if (tests != "") sub(/ .*/, ""); print $0 tests; tests = "" }
    /^failed: / || /did not end in its time and was ended$/ { print }
  ' "$logs/$1.log"
}

# tell_failed tells nothing twice: whoever ends the run early tells what failed before.
tell_failed() {
  [ "${#failed[@]}" -gt 0 ] || return 0
  local name told=("${failed[@]}")
  failed=()
  for name in "${told[@]}"; do
    [ -e "$logs/$name.log" ] || continue
    printf '\n== failed: %s\n' "$name"
    failures "$name"
  done
  printf '\nfailed tests or checks: %s\n' "${told[*]}"
  for name in "${told[@]}"; do
    [ ! -e "$logs/$name.log" ] || named "$name" | sed "s|^|  $name: |"
  done
  return 1
}
