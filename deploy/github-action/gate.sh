#!/usr/bin/env bash
# Benchmark a candidate and hold it against a gate. Exit 0 pass, 1 fail, 2 inconclusive, 3 error; from 4 on: no verdict.
# `gate.sh cancel` stops the run of a job that was aborted. What is asked for comes from the environment (action.yml).
set -ufo pipefail

readonly USAGE=4 CRASH=8 TOO_LONG=9 ABORTED=130
readonly VERDICTS=(pass fail inconclusive error)

esrp=${ESRP_COMMAND:-esrp}
folder=${RUNNER_TEMP:-${TMPDIR:-/tmp}}
state=${GATE_STATE:-$folder/esrp-gate-run}
junit=${GATE_JUNIT:-$folder/esrp-gate.xml}
summary=${GATE_SUMMARY:-$folder/esrp-gate.md}
run='' child='' mute=''

main() {
    if [[ ${1:-} == cancel ]]; then
        cancel_left_over
        return
    fi
    trap abort INT TERM HUP
    trap loud EXIT
    rm -f "$state" "$junit" "$summary"
    limit=$(seconds "${GATE_TIMEOUT:-60m}") || fail $USAGE "timeout: '$GATE_TIMEOUT' is not a time such as 90s, 45m or 2h"
    quiet
    start
    follow
}

# --- the run ----------------------------------------------------------------------------------------------------------

# Begin the run; or go on with the one of a killed job: labels and configuration are the same.
start() {
    local arguments=(run --no-wait --gate "${GATE_NAME:-smoke}") name
    option --base-url "${GATE_BASE_URL:-}"
    option --model "${GATE_MODEL:-}"
    option --transcript "${GATE_TRANSCRIPT:-}"
    option --suite "${GATE_SUITE:-}"
    [[ ${GATE_SAMPLE:-all} == all ]] || arguments+=(--sample "$GATE_SAMPLE")
    for name in ${GATE_JUDGES:-}; do arguments+=(--judge "$name"); done
    option --label "${GITHUB_REPOSITORY:+repository=$GITHUB_REPOSITORY}"
    option --label "${GITHUB_SHA:+commit=$GITHUB_SHA}"
    option --label "${GITHUB_RUN_ID:+workflow_run=$GITHUB_RUN_ID}"
    local more=()
    read -r -a more <<<"${GATE_ARGUMENTS:-}"
    arguments+=(${more[@]+"${more[@]}"})

    # An abort waits for the answer: a run that nobody knows the id of could not be cancelled.
    local said code
    said=$(trap '' INT TERM HUP; exec "$esrp" "${arguments[@]}")
    code=$?
    ((code == 0)) || no_verdict $code "the run could not be started"
    run=${said%%[[:space:]]*}
    [[ $run =~ ^run_[0-9A-Za-z]+$ ]] || no_verdict $CRASH "the run could not be started: '$run' is no run"
    printf '%s\n' "$run" >"$state"
    output run "$run"
}

option() {
    [[ -z $2 ]] || arguments+=("$1" "$2")
}

# Wait for the run and its verdict.
follow() {
    "$esrp" wait "$run" --gate "${GATE_NAME:-smoke}" --junit "$junit" --summary "$summary" &
    child=$!
    local deadline=$((SECONDS + limit)) code
    while kill -0 "$child" 2>/dev/null; do
        ((SECONDS < deadline)) || give_up
        sleep 0.5
    done
    wait "$child"
    code=$?
    # Python ends with 1 too where it cannot even start; a verdict always leaves its files.
    if ((code > 3)) || [[ ! -s $junit || ! -s $summary ]]; then
        rm -f "$state"
        no_verdict $code "there is no verdict"
    fi
    conclude $code
}

conclude() {
    local code=$1
    rm -f "$state"
    output verdict "${VERDICTS[code]}"
    show_summary
    if ((code == 0)) && [[ -n ${GATE_PROMOTE:-} ]]; then
        "$esrp" baseline set "$GATE_PROMOTE" "$run" || no_verdict $? "it passed, but could not be made $GATE_PROMOTE"
    fi
    exit "$code"
}

# --- other ends -------------------------------------------------------------------------------------------------------

abort() {
    trap '' INT TERM HUP
    stop
    fail $ABORTED "aborted; the run is cancelled, and goes on where it was if this job is run again"
}

give_up() {
    stop
    fail $TOO_LONG "no verdict within ${GATE_TIMEOUT:-60m}; the run is cancelled, and goes on if this job is run again"
}

stop() {
    [[ -z $child ]] || kill "$child" 2>/dev/null
    [[ -z $run ]] || "$esrp" cancel "$run" && rm -f "$state"
}

cancel_left_over() {
    [[ -s $state ]] || return 0
    "$esrp" cancel "$(<"$state")" && rm -f "$state"
}

# An exit code that is no verdict, whatever ended with $1.
no_verdict() {
    show_summary
    fail $(($1 > 3 ? $1 : CRASH)) "$2 (exit code $1)"
}

fail() {
    loud
    [[ ${GITHUB_ACTIONS:-} == true ]] && echo "::error title=ESRP gate::${2//$'\n'/ }"
    echo "gate.sh: $2" >&2
    exit "$1"
}

# --- GitHub -----------------------------------------------------------------------------------------------------------

# What models wrote is printed: no line of it may be taken for a command to the runner.
quiet() {
    [[ ${GITHUB_ACTIONS:-} == true ]] || return 0
    mute=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    echo "::stop-commands::$mute"
}

loud() {
    [[ -z $mute ]] || echo "::$mute::"
    mute=''
}

output() {
    [[ -z ${GITHUB_OUTPUT:-} ]] || printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"
}

show_summary() {
    [[ -z ${GITHUB_STEP_SUMMARY:-} || ! -s $summary ]] || cat "$summary" >>"$GITHUB_STEP_SUMMARY"
}

seconds() {
    [[ $1 =~ ^([1-9][0-9]{0,5})([smh])$ ]] || return 1
    case ${BASH_REMATCH[2]} in
        s) echo "${BASH_REMATCH[1]}" ;;
        m) echo $((BASH_REMATCH[1] * 60)) ;;
        h) echo $((BASH_REMATCH[1] * 3600)) ;;
    esac
}

main "$@"
