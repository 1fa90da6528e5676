#!/bin/sh
# What every pipeline of @@{plugin} calls: sh cnitest-ci.sh [STAGE…]; without one: build check conformance fuzz tests.
# Written by `cnitest new ci`; yours to change. Each setting is also a variable of the environment.
#
# Stages: install      cnitest and other plugins, where they are missing (root, Debian or Ubuntu)
#         build        the plugin, by BUILD
#         check        what this machine lacks
#         conformance  the plugin against the CNI specification
#         fuzz         generated configurations and sequences, for CNITEST_FUZZ_TIME
#         tests        your own tests, by pytest
#         baseline     all three once more, to accept what they find: write CNITEST_BASELINE, and commit it
#
# Exit status: 0, or 1 where a stage failed or found something new, which its lines say.
# All but install and build make network namespaces: as root, or where an ordinary user may have user namespaces.
#
# What single quotes keep is evaluated later.
# shellcheck disable=SC2016
set -eu

# The command that builds the plugin; empty where there is nothing to build.
BUILD=${BUILD-@@{build}}
# The plugin's name, and the directory where its binary is once it is built.
CNITEST_PLUGIN=${CNITEST_PLUGIN:-@@{plugin}}
CNITEST_BIN=${CNITEST_BIN:-@@{directory}}
# A configuration with the plugin: a .conf, a .conflist, or a profile cnitest.yaml.
CNITEST_CONF=${CNITEST_CONF:-@@{conf}}
# Where the plugins are that it is used with, the first that has one.
CNITEST_PATH=${CNITEST_PATH:-/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni}
# Findings that are accepted for now (cnitest docs: a baseline).
CNITEST_BASELINE=${CNITEST_BASELINE:-cnitest-baseline.yaml}
# Where reports, evidence and findings go; what fuzzing keeps from run to run, for the CI to cache.
CNITEST_OUT=${CNITEST_OUT:-cnitest-results}
CNITEST_DATABASE=${CNITEST_DATABASE:-.cnitest/examples}
CNITEST_FUZZ_TIME=${CNITEST_FUZZ_TIME:-5m}
# Your own tests: a directory or a file.
CNITEST_TESTS=${CNITEST_TESTS:-tests}
# One of several machines: I/N.
CNITEST_SHARD=${CNITEST_SHARD:-}
# Further words for cnitest run, cnitest fuzz and pytest, quoted as for a shell: CNITEST_CONFORMANCE_ARGS="-k 'ADD or DEL'"
CNITEST_CONFORMANCE_ARGS=${CNITEST_CONFORMANCE_ARGS:-}
CNITEST_FUZZ_ARGS=${CNITEST_FUZZ_ARGS:-}
CNITEST_TESTS_ARGS=${CNITEST_TESTS_ARGS:-}
# What pip installs.
CNITEST_PACKAGE=${CNITEST_PACKAGE:-cnitest}

main() {
  PATH=$PWD/.cnitest/venv/bin:$PATH
  [ $# -gt 0 ] || set -- build check conformance fuzz tests
  known "$@"
  failed=
  for stage; do
    echo "== cnitest-ci: $stage"
    if ! "stage_$stage"; then
      failed="$failed $stage"
      case $stage in install | build | check) break ;; esac
    fi
  done
  [ -z "$failed" ] || die "failed:$failed"
}

known() {
  for stage; do
    case $stage in
      install | build | check | conformance | fuzz | tests | baseline) ;;
      *) die "there is no stage '$stage': install, build, check, conformance, fuzz, tests, baseline" ;;
    esac
  done
}

stage_install() {
  if ! has_plugins || ! command -v iptables >/dev/null || ! command -v python3 >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq &&
      apt-get install -y -qq --no-install-recommends \
        containernetworking-plugins iptables nftables iproute2 conntrack procps python3 python3-venv || return
  fi
  command -v cnitest >/dev/null || {
    python3 -m venv .cnitest/venv && .cnitest/venv/bin/pip install -q --disable-pip-version-check "$CNITEST_PACKAGE"
  }
}

has_plugins() {
  for directory in $(echo "$CNITEST_PATH" | tr : ' '); do
    [ ! -x "$directory/host-local" ] || return 0
  done
  return 1
}

stage_build() {
  [ -z "$BUILD" ] || (eval "$BUILD") || return
  [ -x "$CNITEST_BIN/$CNITEST_PLUGIN" ] || {
    echo "cnitest-ci: BUILD left no program $CNITEST_BIN/$CNITEST_PLUGIN: change BUILD, CNITEST_BIN or CNITEST_PLUGIN" >&2
    return 1
  }
}

stage_check() {
  [ -e "$CNITEST_CONF" ] || {
    echo "cnitest-ci: there is no configuration $CNITEST_CONF: write one with the plugin, or change CNITEST_CONF" >&2
    return 1
  }
  cnitest doctor --cni-path "$(search_path)"
}

# Where plugins are looked for: of the directories those that are there.
search_path() {
  found=$CNITEST_BIN
  for directory in $(echo "$CNITEST_PATH" | tr : ' '); do
    [ ! -d "$directory" ] || found=$found:$directory
  done
  echo "$found"
}

stage_conformance() {
  evaluate 'cnitest run "$CNITEST_CONF" --plugin "$CNITEST_PLUGIN" --cni-path "$(search_path)"' \
    '--json "$(out)/conformance.json" --junitxml "$(out)/conformance.xml" --artifacts "$(out)/conformance"' \
    "$(baseline --) $(shard --) $CNITEST_CONFORMANCE_ARGS"
}

stage_fuzz() {
  evaluate 'cnitest fuzz "$CNITEST_CONF" --cni-path "$(search_path)" --time "$CNITEST_FUZZ_TIME"' \
    '--database "$CNITEST_DATABASE" --out "$(out)/fuzz"' "$(baseline --) $CNITEST_FUZZ_ARGS"
}

stage_tests() {
  [ -e "$CNITEST_TESTS" ] || {
    echo "cnitest-ci: there are no tests of your own in $CNITEST_TESTS"
    return 0
  }
  case $CNITEST_CONF in
    *.yaml | *.yml) conf= ;;
    *) conf='--cni-conf "$CNITEST_CONF"' ;;
  esac
  evaluate 'pytest "$CNITEST_TESTS" --cni-path "$(search_path)" --junitxml "$(out)/tests.xml" --cni-artifacts "$(out)/tests"' \
    "$conf $(baseline --cni-) $(shard --cni-) $CNITEST_TESTS_ARGS"
}

stage_baseline() {
  writing=yes
  stage_conformance && stage_fuzz && stage_tests
}

# Shows a command, and runs it.
evaluate() {
  eval "set -- $*"
  echo "+ $*"
  "$@"
}

# The option for the baseline; $1 is what its name begins with.
baseline() {
  if [ -n "${writing:-}" ]; then
    echo "$1"'write-baseline "$CNITEST_BASELINE"'
  elif [ -e "$CNITEST_BASELINE" ]; then
    echo "$1"'baseline "$CNITEST_BASELINE"'
  fi
}

shard() {
  [ -z "$CNITEST_SHARD" ] || echo "$1"'shard "$CNITEST_SHARD"'
}

# The directory of results, made where it is missing.
out() {
  mkdir -p "$CNITEST_OUT"
  echo "$CNITEST_OUT"
}

die() {
  echo "cnitest-ci: $*" >&2
  exit 1
}

main "$@"
