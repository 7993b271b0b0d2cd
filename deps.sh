#!/bin/sh
# Installs with apt what is missing: to build (no argument), and to test as well (test).
set -eu

missing=

# need COMMAND PACKAGE...: the packages if there is no such command
need() {
	command -v "$1" >/dev/null 2>&1 && return
	shift
	missing="$missing $*"
}

# need_package PACKAGE...
need_package() {
	for package; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
			missing="$missing $package"
	done
}

what=${1:-build}
case $what in
build | test) ;;
*)
	echo "usage: ./deps.sh [test]" >&2
	exit 1
	;;
esac

need cc gcc libc6-dev
need make make
need_package libc6-dev libbearssl-dev
if [ "$what" = test ]; then
	need gcc gcc
	need clang clang
	need node nodejs
	need npm npm
	need cppcheck cppcheck
	need chromium chromium
	need ip iproute2
	need openssl openssl
	need curl curl
	need unshare util-linux
	need_package libcmocka-dev
fi

if [ -n "$missing" ]; then
	echo "deps.sh: installing$missing"
	root=
	if [ "$(id -u)" -ne 0 ]; then
		echo "deps.sh: asking for root through sudo"
		root=sudo
	fi
	$root apt-get update -q
	# shellcheck disable=SC2086
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi

# The tests' packages from npm, as the lock file has them.
cd "$(dirname "$0")"
if [ "$what" = test ] && ! cmp -s test/package-lock.json test/node_modules/.installed; then
	echo "deps.sh: installing the tests' npm packages into test/node_modules"
	(cd test && npm ci --no-audit --no-fund && cp package-lock.json node_modules/.installed)
fi
