# shellcheck shell=bash disable=SC2154 # the variables are those of bin/compile
# A built binary of a release, verified before it is used.
#
# A release holds, for each target, mcp-auth-proxy-TARGET.tar.gz (the binary and the licences) and
# mcp-auth-proxy-TARGET.tar.gz.sha256 beside it.

# usage: download_binary DESTINATION
download_binary() {
  local destination=$1 version target archive place
  version=$(release_version)
  target=$(release_target)
  archive=mcp-auth-proxy-$target.tar.gz
  place=$(release_place "$version")

  heading "Downloading MCP Auth Proxy ($version, $target)"
  local expected
  expected=$(config MCP_PROXY_SHA256)
  if [[ -z $expected ]]; then
    fetch "$place/$archive.sha256" "$unpacked/checksum"
    expected=$(awk 'NR == 1 { print $1 }' "$unpacked/checksum")
  fi
  expected=${expected,,}
  if ! [[ $expected =~ ^[0-9a-f]{64}$ ]]; then
    fail "\"$expected\" is no SHA-256 checksum (64 hexadecimal digits)." \
      "See MCP_PROXY_SHA256, or $place/$archive.sha256"
  fi

  # Named by its checksum: another release never meets an older one's file.
  local kept=$cache_dir/release/$expected.tar.gz
  if is_intact "$kept" "$expected"; then
    detail "taken from the build cache"
  else
    fetch "$place/$archive" "$unpacked/$archive"
    if ! is_intact "$unpacked/$archive" "$expected"; then
      fail "What was downloaded is not what was released:" \
        "$place/$archive" \
        "has another checksum than $expected. Nothing was installed." \
        "Deploy again; if that happens twice, tell the maintainers, or build from source:" \
        "heroku config:set MCP_PROXY_DOWNLOAD_METHOD=git"
    fi
    rm -rf "$cache_dir/release"
    mkdir -p "$cache_dir/release"
    cp "$unpacked/$archive" "$kept"
  fi
  detail "SHA-256 $expected"
  tar -xzf "$kept" -C "$unpacked" mcp-auth-proxy
  [[ $unpacked/mcp-auth-proxy -ef $destination ]] || mv "$unpacked/mcp-auth-proxy" "$destination"
}

# A tag, or `latest`. Tags of the predecessor stay set in many apps, and stop no build.
release_version() {
  local wanted
  wanted=$(config MCP_PROXY_VERSION latest)
  case $wanted in
    latest) echo latest ;;
    v0.* | v1.* | 0.* | 1.*)
      local own
      own=v$(own_version)
      warn "MCP_PROXY_VERSION is $wanted, a release of the Node.js proxy that this one succeeds;" \
        "$own is installed. To choose: heroku config:set MCP_PROXY_VERSION=$own" >&2
      echo "$own"
      ;;
    v[0-9]*) echo "$wanted" ;;
    [0-9]*) echo "v$wanted" ;;
    *)
      fail "MCP_PROXY_VERSION is \"$wanted\"." \
        "It is a release such as v$(own_version), or \"latest\"."
      ;;
  esac
}

own_version() {
  sed -n 's/^version = "\(.*\)"$/\1/p' "$buildpack_dir/Cargo.toml" | head -n 1
}

release_target() {
  case $(uname -m) in
    x86_64) echo x86_64-unknown-linux-musl ;;
    aarch64 | arm64) echo aarch64-unknown-linux-musl ;;
    *)
      fail "There is no released binary for $(uname -m)." \
        "Build from source: heroku config:set MCP_PROXY_DOWNLOAD_METHOD=git"
      ;;
  esac
}

# usage: release_place VERSION
release_place() {
  local releases
  releases=$(config MCP_PROXY_RELEASES_URL "$(releases_of "$(origin)")")
  if [[ -z $releases ]]; then
    fail "It is not known where releases are published: this buildpack came from no GitHub repository." \
      "Name the place: heroku config:set MCP_PROXY_RELEASES_URL=https://HOST/OWNER/NAME/releases" \
      "or build from source: heroku config:set MCP_PROXY_DOWNLOAD_METHOD=git"
  fi
  case $1 in
    latest) echo "${releases%/}/latest/download" ;;
    *) echo "${releases%/}/download/$1" ;;
  esac
}

# The releases of a GitHub repository, however its address is written; nothing for others.
releases_of() {
  if [[ $1 =~ github\.com[:/]([^/]+)/([^/]+)$ ]]; then
    echo "https://github.com/${BASH_REMATCH[1]}/${BASH_REMATCH[2]%.git}/releases"
  fi
}

# usage: fetch URL FILE
fetch() {
  local reason
  if ! reason=$(curl --fail --silent --show-error --location --netrc-optional \
    --retry 3 --connect-timeout 10 --max-time 300 --output "$2" "$1" 2>&1); then
    fail "$1" "cannot be downloaded: $reason" \
      "Is there such a release? See MCP_PROXY_VERSION. From a private repository build from source:" \
      "heroku config:set MCP_PROXY_DOWNLOAD_METHOD=git"
  fi
}

# usage: is_intact FILE CHECKSUM
is_intact() {
  [[ -f $1 ]] && echo "$2  $1" | sha256sum --check --status
}
