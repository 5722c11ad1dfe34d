#!/bin/sh
# Install Soda Fountain on a bare Debian 12. The image is made by these steps, and the tests run them as well.
#
#   install.sh packages              what the program runs with, from Debian (as root)
#   install.sh build-packages        what the next step needs (as root)
#   install.sh application FOLDER    the program from the source beside this script, as a virtual environment
#   install.sh compile FOLDER        its Python, once and on all cores: the folder is read-only later
#   install.sh proxy                 nginx (as root)
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)

from_debian() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends "$@"
    rm -rf /var/lib/apt/lists/*
}

application() {
    folder=$1
    python3 -m venv "$folder"
    # Nothing is built but the project itself: there is no C compiler, here or in the image.
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        --only-binary=:all: "${source}[pg,s3,parquet]"
    "$folder/bin/python" -m pip check
    # The image is not changed when it is there, and what cannot be used cannot be misused.
    "$folder/bin/python" -m pip uninstall --quiet --yes pip setuptools
}

case "${1-}" in
    packages) from_debian ca-certificates python3 tini ;;
    build-packages) from_debian ca-certificates python3 python3-venv ;;
    proxy) from_debian nginx-light ;;
    application) application "${2:?install.sh application FOLDER}" ;;
    compile) "${2:?install.sh compile FOLDER}/bin/python" -m compileall -q -j 0 "$2/lib" ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
