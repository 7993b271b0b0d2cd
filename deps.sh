#!/bin/sh
# Installs missing packages with apt, to build (no argument), to build archives for devices (dist), to test
# (test), to measure (bench), or to build and test for devices (device).
set -eu

missing=

# need COMMAND PACKAGE...: requests the packages if the command is missing
need() {
	command -v "$1" >/dev/null 2>&1 && return
	shift
	missing="$missing $*"
}

# need_package PACKAGE...: requests those that are not installed
need_package() {
	for package; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
			missing="$missing $package"
	done
}

# Keeps the services of packages from starting that would be reachable from outside: the tests start their own.
mask_services() {
	for service in coturn prometheus; do
		case " $missing " in
		*" $service "*) ! command -v systemctl >/dev/null || $root systemctl mask $service.service ;;
		esac
	done
}

become_root() {
	root=
	if [ "$(id -u)" -ne 0 ]; then
		echo "deps.sh: asking for root through sudo"
		root=sudo
	fi
}

# Runs apt-get as root.  Waits while another apt holds a lock: DPkg::Lock::Timeout is only for that of dpkg.
# debconf's message about apt-utils does not matter without questions.
apt_get() {
	errors=$(mktemp)
	for try in $(seq 600); do
		status=0
		$root env LC_ALL=C DEBIAN_FRONTEND=noninteractive \
			apt-get -q -o DPkg::Lock::Timeout=600 "$@" 2>"$errors" || status=$?
		{ [ $status -ne 0 ] && grep -q '^E: Could not get lock' "$errors"; } || break
		[ "$try" -ne 1 ] || echo "deps.sh: waiting until another apt has ended"
		sleep 1
	done
	grep -v '^debconf: delaying package configuration' "$errors" >&2 || true
	rm -f "$errors"
	return "$status"
}

install_missing() {
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2046,SC2086 # one word for each package
	missing=$(printf ' %s' $(printf '%s\n' $missing | sort -u))
	echo "deps.sh: installing$missing"
	become_root
	mask_services
	apt_get update
	# shellcheck disable=SC2086
	apt_get install -y --no-install-recommends $missing
	missing=
}

need_build() {
	need cc gcc libc6-dev
	need make make
	need_package libc6-dev libbearssl-dev
}

need_test() {
	need gcc gcc
	need clang clang
	need node nodejs
	need npm npm
	need clang-format clang-format
	need cppcheck cppcheck
	# If this release of Debian has it; else see fetch_cbmc.
	! apt-cache show cbmc >/dev/null 2>&1 || need cbmc cbmc
	need chromium chromium
	need ip iproute2
	need nft nftables
	need openssl openssl
	need curl curl
	need logrotate logrotate
	need unshare util-linux
	need strace strace
	need mandoc mandoc
	need valgrind valgrind
	need gdb gdb
	need certutil libnss3-tools
	need gnutls-cli gnutls-bin
	need python3 python3
	need firefox-esr firefox-esr
	need turnserver coturn
	need promtool prometheus
	need_package libcmocka-dev libclang-rt-dev libssl-dev haproxy nginx
	# Of the examples: some 77 MB to download, most of it codecs.
	need_package python3-websockets python3-jwt python3-aiortc python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 \
		gstreamer1.0-nice gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
}

need_bench() {
	need_package libwebsockets-dev
}

# setting NAME: the value of a variable of device.mk
setting() {
	sed -n "s/^$1 = //p" device.mk
}

# need_dist TARGET...: what archives for these targets are built with
need_dist() {
	need make make
	need patch patch
	need xz xz-utils
	for target; do
		case $target in
		x86_64) architecture=amd64 ;;
		aarch64) architecture=arm64 ;;
		*) architecture=$target ;;
		esac
		compiler=$(setting "CC_$target")
		if [ -z "$compiler" ]; then
			echo "deps.sh: there is no target $target: the targets are $(setting ALL_TARGETS)" >&2
			exit 1
		elif [ "$architecture" = "$(dpkg --print-architecture)" ]; then
			need "$compiler-gcc" gcc
			need_package linux-libc-dev
		else
			need "$compiler-gcc" "gcc-$(echo "$compiler" | tr _ -)"
			need_package "linux-libc-dev-$architecture-cross"
		fi
		case " $(setting LLD) " in
		*" $target "*) need ld.lld lld ;;
		esac
	done
}

need_device() {
	# shellcheck disable=SC2046 # one word for each target
	need_dist $(setting ALL_TARGETS)
	need shellcheck shellcheck
	need systemd-analyze systemd
	need qemu-mips-static qemu-user-static
	need qemu-system-mipsel qemu-system-mips
	need qemu-system-arm qemu-system-arm
	need debootstrap debootstrap
	need_package busybox-static e2fsprogs
}

# Installs the tests' npm packages in the versions of the lock file.
install_npm() {
	cmp -s test/package-lock.json test/node_modules/.installed && return
	echo "deps.sh: installing the tests' npm packages into test/node_modules"
	(cd test && npm ci --no-audit --no-fund && cp package-lock.json node_modules/.installed)
}

# Fetches package lists of two foreign architectures and of the release that has CBMC, into toolchain/.  The
# system's own lists do not change.
open_archive() {
	[ -z "${APT_CONFIG-}" ] || return 0
	apt=$PWD/toolchain/apt
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(SITE) $(RELEASE)' \
		'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u |
		while read -r site release; do
			printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' \
				"$site" "$release"
			printf 'Architectures: mipsel armhf\n\n'
			# The release only, not its updates (RELEASE-updates).
			[ "$release" != "${release%-*}" ] ||
				printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nArchitectures: %s\n\n' \
					"$site" "$(dpkg --print-architecture)"
		done >"$apt/debian.sources"
	cat >"$apt/apt.conf" <<-END
		Dir::Etc::sourcelist "$apt/debian.sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt";
		APT::Architectures { "mipsel"; "armhf"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
	END
	APT_CONFIG=$apt/apt.conf
	export APT_CONFIG
	# A list that is not available matters only for the packages in it.
	apt-get update -q || true
}

# The mirrors of Debian that apt uses.
mirrors() {
	for origin in Debian Raspbian; do
		# shellcheck disable=SC2016 # apt's own variable
		apt-get indextargets --format '$(REPO_URI)' \
			'Created-By: Packages' "Origin: $origin" "Label: $origin" 'Component: main'
	done | sort -u
}

# download FILE HASH TO: downloads a file of a mirror that has this SHA-256
download() {
	for mirror in $(mirrors); do
		! /usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$mirror$1" "$3" "SHA256:$2" ||
			return 0
	done
	echo "deps.sh: no mirror of apt has $1 with the hash of device/sources.sha256" >&2
	return 1
}

# Unpacks the sources of device/sources.sha256 as toolchain/source/musl and toolchain/source/bearssl.
fetch_sources() {
	while read -r hash file; do
		name=${file#pool/main/?/}
		name=${name%%/*}
		[ ! -d "toolchain/source/$name" ] || continue
		echo "deps.sh: fetching the source of $name"
		if [ -z "$(mirrors)" ]; then
			become_root
			apt_get update
		fi
		rm -rf toolchain/fetched
		mkdir -p toolchain/source toolchain/fetched/source
		download "$file" "$hash" toolchain/fetched/archive
		tar -C toolchain/fetched/source -xf toolchain/fetched/archive
		mv toolchain/fetched/source/* "toolchain/source/$name"
		rm -rf toolchain/fetched
	done <device/sources.sha256
}

# fetch_packages KIND ARCHITECTURE PACKAGE...: unpacks packages into toolchain/KIND/ARCHITECTURE, without
# installing them
fetch_packages() {
	kind=$1 architecture=$2
	shift 2
	[ -d "toolchain/$kind/$architecture" ] && return
	open_archive
	echo "deps.sh: fetching $* for $architecture"
	rm -rf toolchain/fetched
	mkdir -p "toolchain/$kind" toolchain/fetched
	(
		cd toolchain/fetched
		for package; do
			apt-get download -q "$package:$architecture"
		done
		for package in ./*.deb; do
			dpkg -x "$package" root
		done
	)
	mv toolchain/fetched/root "toolchain/$kind/$architecture"
	rm -rf toolchain/fetched
}

# CBMC with its libraries, if this release of Debian does not have it.
fetch_cbmc() {
	command -v cbmc >/dev/null 2>&1 && return
	fetch_packages cbmc "$(dpkg --print-architecture)" cbmc libc6 libgcc-s1 libstdc++6 minisat zlib1g
}

# fetch_kernel ARCHITECTURE FLAVOUR: unpacks the kernel and its modules
fetch_kernel() {
	[ -d "toolchain/kernel/$1" ] && return
	open_archive
	# The flavour's package depends on the package of its newest version.
	image=$(apt-cache depends "linux-image-$2:$1" | sed -n 's/^ *Depends: //p' | head -n 1)
	fetch_packages kernel "$1" "${image%:*}"
}

cd "$(dirname "$0")"
what=${1:-build}
case $what in
build)
	need_build
	install_missing
	;;
dist)
	shift
	# shellcheck disable=SC2046 # one word for each target
	case $* in
	'' | all) set -- $(setting ALL_TARGETS) ;;
	esac
	need_dist "$@"
	install_missing
	fetch_sources
	make --silent -j"$(nproc)" toolchains TARGETS="$*"
	;;
test)
	need_build
	need_test
	install_missing
	install_npm
	fetch_cbmc
	;;
bench)
	need_build
	need_test
	need_bench
	install_missing
	install_npm
	;;
device)
	need_build
	need_test
	need_device
	install_missing
	install_npm
	fetch_cbmc
	fetch_sources
	fetch_kernel mipsel 4kc-malta
	fetch_kernel armhf armmp
	fetch_packages busybox mipsel busybox-static
	fetch_packages busybox armhf busybox-static
	make -j"$(nproc)" toolchains
	;;
*)
	echo "usage: ./deps.sh [dist [TARGET... | all] | test | bench | device]" >&2
	exit 1
	;;
esac
