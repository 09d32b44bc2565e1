# shellcheck shell=bash disable=SC2154 # the variables are those of bin/compile
# A binary built from source, with toolchain, dependencies and the binary itself in the build cache.

# usage: build_binary DESTINATION
build_binary() {
  local destination=$1 source key kept
  checkout_source
  source=$checked_out
  key=$(source_key "$source")
  kept=$cache_dir/built/$key
  if [[ -x $kept ]]; then
    heading "MCP Auth Proxy is built already (source $key)"
    detail "taken from the build cache"
  else
    prepare_toolchain "$source"
    heading "Building MCP Auth Proxy (some minutes, the first time)"
    if ! CARGO_TARGET_DIR=$cache_dir/target cargo build --release --locked \
      --manifest-path "$source/Cargo.toml" --package mcp-auth-proxy --color never 2>&1 | indented; then
      fail "MCP Auth Proxy could not be built; the lines above say why." \
        "A released binary needs no building: heroku config:unset MCP_PROXY_DOWNLOAD_METHOD"
    fi
    rm -rf "$cache_dir/built"
    mkdir -p "$cache_dir/built"
    cp "$cache_dir/target/release/mcp-auth-proxy" "$kept"
  fi
  cp "$kept" "$destination"
}

# Sets `checked_out` to a directory with the source: this buildpack's own, or the one of
# MCP_PROXY_GIT_REF. Not by an answer, since a failure has to end the build.
checkout_source() {
  local ref url
  ref=$(config MCP_PROXY_GIT_REF)
  if [[ -z $ref ]]; then
    checked_out=$buildpack_dir
    return
  fi
  if [[ $ref == -* ]]; then
    fail "MCP_PROXY_GIT_REF is \"$ref\", which is no branch, tag or commit."
  fi
  url=$(config MCP_PROXY_GIT_URL "$(origin)")
  if [[ -z $url ]]; then
    fail "MCP_PROXY_GIT_REF is set, but it is not known from where to fetch it." \
      "Name the repository: heroku config:set MCP_PROXY_GIT_URL=git@HOST:OWNER/NAME.git" \
      "or take the buildpack's own checkout: heroku config:unset MCP_PROXY_GIT_REF"
  fi
  heading "Fetching the source of MCP Auth Proxy ($ref)"
  checked_out=$cache_dir/source
  local reason
  if ! reason=$(fetch_source "$url" "$ref" 2>&1); then
    # An address may hold a password.
    reason=${reason//"$url"/"the repository"}
    fail "$ref cannot be fetched:" "$reason" \
      "A private repository needs a deploy key (GIT_SSH_KEY and GIT_SSH_HOST, with their buildpack" \
      "before this one) or a .netrc; without MCP_PROXY_GIT_REF the buildpack's own checkout is built."
  fi
  detail "commit $(git -C "$checked_out" rev-parse HEAD)"
}

# usage: fetch_source URL REF
fetch_source() {
  export GIT_TERMINAL_PROMPT=0
  rm -rf "$checked_out"
  git init --quiet "$checked_out"
  # A server may refuse to give a single commit by its short name; then everything is fetched.
  if ! git -C "$checked_out" fetch --quiet --depth 1 "$1" "$2" 2>/dev/null; then
    git -C "$checked_out" fetch --quiet --tags "$1" '+refs/heads/*:refs/remotes/origin/*' || return 1
    git -C "$checked_out" checkout --quiet --detach "$2"
    return
  fi
  git -C "$checked_out" checkout --quiet --detach FETCH_HEAD
}

# Names what would be built: the same source is not built twice.
source_key() {
  (
    cd "$1" || exit
    find Cargo.toml Cargo.lock crates templates -type f -print0 | LC_ALL=C sort -z |
      xargs -0 sha256sum
    echo "${STACK:-} $(uname -m)"
  ) | sha256sum | cut -c 1-16
}

# A Rust that is new enough: the one there is, or one in the build cache.
prepare_toolchain() {
  local needed
  needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$1/Cargo.toml" | head -n 1)
  if is_rust_at_least "$needed"; then
    return
  fi
  export CARGO_HOME=$cache_dir/cargo RUSTUP_HOME=$cache_dir/rustup
  export PATH=$CARGO_HOME/bin:$PATH
  if is_rust_at_least "$needed"; then
    heading "Using the Rust toolchain of the build cache"
    return
  fi
  heading "Installing a Rust toolchain ($needed or newer is needed)"
  fetch https://sh.rustup.rs "$unpacked/rustup-init.sh"
  if ! sh "$unpacked/rustup-init.sh" -y --quiet --no-modify-path --profile minimal \
    --default-toolchain stable 2>&1 | indented; then
    fail "The Rust toolchain could not be installed; the lines above say why. Deploy again."
  fi
}

# usage: is_rust_at_least VERSION
is_rust_at_least() {
  local found
  found=$(cargo --version 2>/dev/null | awk '{ print $2 }') || return 1
  [[ -n $found && $(printf '%s\n' "$1" "$found" | sort -V | head -n 1) == "$1" ]]
}
