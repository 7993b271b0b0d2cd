#!/bin/sh
# Installs missing packages with apt, to build (no argument), to test (test), to measure (bench), or to build
# and test for devices (device).
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

install_missing() {
	[ -n "$missing" ] || return 0
	echo "deps.sh: installing$missing"
	root=
	if [ "$(id -u)" -ne 0 ]; then
		echo "deps.sh: asking for root through sudo"
		root=sudo
	fi
	mask_services
	$root apt-get update -q
	# shellcheck disable=SC2086
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
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

need_device() {
	need x86_64-linux-gnu-gcc gcc-x86-64-linux-gnu
	for name in aarch64-linux-gnu riscv64-linux-gnu mips-linux-gnu mipsel-linux-gnu \
		powerpc-linux-gnu i686-linux-gnu arm-linux-gnueabi arm-linux-gnueabihf; do
		need $name-gcc gcc-$name
	done
	for arch in arm64 riscv64 mips mipsel powerpc i386 armel armhf; do
		need_package linux-libc-dev-$arch-cross
	done
	need ld.lld lld
	need dpkg-source dpkg-dev
	need shellcheck shellcheck
	need systemd-analyze systemd
	need qemu-mips-static qemu-user-static
	need qemu-system-mipsel qemu-system-mips
	need qemu-system-arm qemu-system-arm
	need_package busybox-static e2fsprogs
}

# Installs the tests' npm packages in the versions of the lock file.
install_npm() {
	cmp -s test/package-lock.json test/node_modules/.installed && return
	echo "deps.sh: installing the tests' npm packages into test/node_modules"
	(cd test && npm ci --no-audit --no-fund && cp package-lock.json node_modules/.installed)
}

# Fetches package lists of Debian's sources, of two foreign architectures and of the release that has CBMC,
# into toolchain/.  The system's own lists do not change.
open_archive() {
	[ -z "${APT_CONFIG-}" ] || return 0
	apt=$PWD/toolchain/apt
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(SITE) $(RELEASE)' \
		'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u |
		while read -r site release; do
			printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\n\n' \
				"$site" "$release"
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
		APT::Get::Only-Source "true";
		Acquire::Languages "none";
	END
	APT_CONFIG=$apt/apt.conf
	export APT_CONFIG
	# A list that is not available matters only for the packages in it.
	apt-get update -q || true
}

# fetch_source PACKAGE: unpacks the patched source as toolchain/source/PACKAGE
fetch_source() {
	[ -d "toolchain/source/$1" ] && return
	open_archive
	echo "deps.sh: fetching the source of $1"
	rm -rf toolchain/fetched
	mkdir -p toolchain/source toolchain/fetched
	(cd toolchain/fetched && apt-get source -q "$1")
	mv "toolchain/fetched/$1"-*/ "toolchain/source/$1"
	rm -rf toolchain/fetched
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
	fetch_source musl
	fetch_source bearssl
	fetch_kernel mipsel 4kc-malta
	fetch_kernel armhf armmp
	fetch_packages busybox mipsel busybox-static
	fetch_packages busybox armhf busybox-static
	make -j"$(nproc)" toolchains
	;;
*)
	echo "usage: ./deps.sh [test | bench | device]" >&2
	exit 1
	;;
esac
