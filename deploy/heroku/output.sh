# shellcheck shell=bash disable=SC2154 # the variables are those of bin/compile
# How a buildpack speaks to people.

heading() {
  printf -- '-----> %s\n' "$1"
}

detail() {
  printf '       %s\n' "$@"
}

# Indents what a program prints.
indented() {
  sed -u 's/^/       /'
}

warn() {
  printf ' !     %s\n' "$@"
}

# Says what happened, why, and what to do, and ends the build.
fail() {
  printf ' !\n' >&2
  printf ' !     %s\n' "$@" >&2
  printf ' !\n' >&2
  exit 1
}
