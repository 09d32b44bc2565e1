# `just` lists the recipes; each is one line that also works without just.

default:
    @just --list

# Everything a change must pass.
ci:
    .ci/run

# Install what the tests need and run all of them.
test *filters:
    cargo xtask test {{filters}}

# Only install what the tests need.
setup:
    cargo xtask setup

# Sessions under load while one thing after another fails, at full size.
faults *arguments:
    cargo xtask faults {{arguments}}

# Format, and tell what clippy finds.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- --deny warnings

# The proxy with a built-in user and MCP server.
demo *arguments:
    cargo run --release -- demo {{arguments}}
