# For `fetch` scripts, sourced: what they need of Debian, and taking turns where several of them run at once.

# locked NAME COMMAND…: runs a command or function that no other `fetch` runs under this name at the same time.
locked() {
  local name=$1
  shift
  (
    flock 9
    "$@"
  ) 9> "$CACHE/$name.lock"
}

# need COMMAND PACKAGE: installs a Debian package unless its command is there.
need() {
  if ! command -v "$1" >/dev/null; then locked apt install_package "$2"; fi
}

install_package() {
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "$1" >/dev/null
}
