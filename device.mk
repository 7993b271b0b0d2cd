# Builds for devices: static musl binaries, with Debian's cross compilers, and with musl and
# BearSSL from the sources of device/sources.sha256, which `./deps.sh dist` puts into toolchain/.  The
# Makefile includes this.

ALL_TARGETS = x86_64 i386 aarch64 armhf armel mipsel mips riscv64 powerpc
TARGETS = all
ifeq ($(TARGETS),all)
override TARGETS = $(ALL_TARGETS)
endif
ifneq ($(filter-out $(ALL_TARGETS),$(TARGETS)),)
$(error there is no target $(filter-out $(ALL_TARGETS),$(TARGETS)): the targets are $(ALL_TARGETS))
endif

# Variables of each target:
#   CC      prefix of Debian's cross compiler
#   MUSL    musl's name of the target
#   FLAGS   compiler flags for all files
#   OWN     compiler flags for our own files
#   FOR     the devices that it is for, in README of the archive
#   RUN     what runs it in tests: native, or ARCH:CPU for qemu-ARCH-static -cpu CPU
# i386 is built for a 486, armel for ARMv5, mips for a 4Kc without floating point.
# The stack protector of our own files costs 2 to 5 KB.
PROTECTOR = -fstack-protector-strong

# Tables of jumps are larger than comparisons, and not faster.
CC_x86_64 = x86_64-linux-gnu
MUSL_x86_64 = x86_64-linux-musl
OWN_x86_64 = -fno-jump-tables
FOR_x86_64 = 64-bit PCs (x86_64)
RUN_x86_64 = native

CC_i386 = i686-linux-gnu
MUSL_i386 = i386-linux-musl
FLAGS_i386 = -march=i486 -mtune=i686 -DBR_AES_X86NI=0 -DBR_SSE2=0
FOR_i386 = 32-bit PCs, from the 486 on (i386)
RUN_i386 = i386:486

CC_aarch64 = aarch64-linux-gnu
MUSL_aarch64 = aarch64-linux-musl
FLAGS_aarch64 = -mno-outline-atomics
FOR_aarch64 = 64-bit ARM boards, such as a Raspberry Pi 3 or later with a 64-bit system (aarch64)
RUN_aarch64 = aarch64:cortex-a53

CC_armhf = arm-linux-gnueabihf
MUSL_armhf = arm-linux-musleabihf
FOR_armhf = ARMv7 boards, such as a Raspberry Pi 2 or later with a 32-bit system (armhf)
RUN_armhf = arm:cortex-a7

CC_armel = arm-linux-gnueabi
MUSL_armel = arm-linux-musleabi
# BearSSL stays in ARM code, which is faster.
OWN_armel = -mthumb
FOR_armel = any 32-bit ARM board from ARMv5 on, such as a Raspberry Pi 1 or Zero (armel)
RUN_armel = arm:arm926 arm:arm1176

# Position-independent MIPS code would be 35 KB larger, use 52 KB more memory, need (in QEMU) 12 to 34 % more
# time for a handshake, and call functions through a writable table.
NO_PIE = -fno-pie -no-pie
MIPS = -march=mips32 -msoft-float -mno-shared -mplt $(NO_PIE)
CC_mipsel = mipsel-linux-gnu
MUSL_mipsel = mipsel-linux-muslsf
FLAGS_mipsel = $(MIPS)
FOR_mipsel = little-endian MIPS routers, such as those with MT7621 or MT7628 (mipsel)
RUN_mipsel = mipsel:24Kc mipsel:4Kc

CC_mips = mips-linux-gnu
MUSL_mips = mips-linux-muslsf
FLAGS_mips = $(MIPS)
FOR_mips = big-endian MIPS routers, such as those of ath79 (mips)
RUN_mips = mips:24Kc

# Functions share the code that saves and restores registers.
CC_riscv64 = riscv64-linux-gnu
MUSL_riscv64 = riscv64-linux-musl
OWN_riscv64 = -msave-restore
FOR_riscv64 = 64-bit RISC-V boards (riscv64)
RUN_riscv64 = riscv64:rv64

CC_powerpc = powerpc-linux-gnu
MUSL_powerpc = powerpc-linux-musl
FLAGS_powerpc = -mlong-double-64 -msecure-plt
FOR_powerpc = 32-bit PowerPC boards (powerpc)
RUN_powerpc = ppc:g4

# BearSSL reads bytes as words where the processor can, which -fstrict-aliasing does not allow: with -flto alone
# its SHA-1 is wrong on powerpc.
BEARSSL_FLAGS = -flto -fno-strict-aliasing
SMALL = -Os -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables
STATIC = -static -nostartfiles -Wl,--gc-sections,--build-id=none,-z,now,-z,noseparate-code,-z,noexecstack

# Linking.  A target without NO_PIE is a static PIE with RELRO; musl's wrapper has no option for that.  With
# NO_PIE nothing is relocated at the start, so RELRO and page alignment are off, which keeps ld from padding
# the file.  lld never pads, and packs relocations; but it does not shorten riscv64's instructions.

IS_PIE = $(if $(findstring $(NO_PIE),$(FLAGS_$*)),,yes)
AS_PIE = -Wl,-pie,--no-dynamic-linker,-z,text,-z,relro
NOT_PIE = -no-pie -Wl,-z,norelro,-z,common-page-size=64,--no-warn-mismatch
LLD = x86_64 i386 aarch64 armhf armel powerpc
BY_LLD = -fuse-ld=lld -B$(TOOLCHAIN)/bin -Wl,-O2,--icf=all,--no-rosegment,--hash-style=sysv,--pack-dyn-relocs=relr
LINK = $(STATIC) $(if $(IS_PIE),$(AS_PIE),$(NOT_PIE)) $(if $(filter $*,$(LLD)),$(BY_LLD)) \
	$(addprefix $(TOOLCHAIN)/lib/,$(if $(IS_PIE),rcrt1.o,crt1.o) crti.o crtn.o)

# Each target has its own build of musl, with musl's compiler wrapper, and of BearSSL, whose source is
# linked into the target's directory.

TOOLCHAIN = $(CURDIR)/toolchain/$*
MUSL = --prefix=$(TOOLCHAIN) --disable-shared --enable-wrapper=gcc --enable-optimize=size \
	--target=$(MUSL_$*) CC=$(CC_$*)-gcc CROSS_COMPILE=$(CC_$*)- \
	CFLAGS='$(SMALL) $(FLAGS_$*) -w' LIBCC=-lgcc
# The kernel's headers, of Debian's cross packages or of this machine.
KERNEL = $(or $(wildcard /usr/$(CC_$*)/include),/usr/include/$(CC_$*:i686%=i386%) -idirafter /usr/include)
DEVICE = CROSS_COMPILE=$(CC_$*)- CC='$(TOOLCHAIN)/bin/musl-gcc' AR=$(CC_$*)-gcc-ar BEARSSL=toolchain/$*/bearssl \
	CPPFLAGS= LDFLAGS='$(LINK)' WHOLE='$(WHOLE)' \
	CFLAGS='$(SMALL) $(FLAGS_$*) $(OWN) -idirafter $(KERNEL)'

# Each patch says why.
toolchain/source/musl/patched: | device/musl-relr.patch
toolchain/source/bearssl/patched: | device/bearssl-suites.patch
toolchain/source/musl/patched toolchain/source/bearssl/patched:
	patch -d $(@D) -p1 <$|
	touch $@

# The flags and patches of the last build: others build the toolchain again.
BUILT_WITH = $(SMALL) $(FLAGS_$*) $(BEARSSL_FLAGS) $(shell cat device/*.patch | cksum)
toolchain/%.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(BUILT_WITH)' | cmp -s - $@ || echo '$(BUILT_WITH)' >$@

toolchain/%/built: private OWN = $(BEARSSL_FLAGS)

toolchain/%/built: toolchain/source/musl/patched toolchain/source/bearssl/patched toolchain/%.flags
	@echo "toolchain $$(printf '%s\n' $(TARGETS) | grep -nx $* | cut -d: -f1) of $(words $(TARGETS)): $*"
	@rm -rf $(@D) && mkdir -p $(@D)/musl $(@D)/bearssl
	@cd $(@D)/musl && ../../source/musl/configure $(MUSL) >configure.log
	@$(MAKE) --silent -C $(@D)/musl install >$(@D)/musl/make.log
	@rm -rf $(@D)/musl
	@$(if $(filter $*,$(LLD)),ln -s "$$(command -v ld.lld)" $(@D)/bin)
	@ln -sr $(addprefix toolchain/source/bearssl/,Makefile conf mk inc src) $(@D)/bearssl
	@$(MAKE) --silent $(DEVICE) $(@D)/bearssl/build/libbearssl.a >$(@D)/bearssl.log
	@touch $@

toolchains: $(TARGETS:%=toolchain/%/built) ## builds musl and BearSSL for the devices (after ./deps.sh dist)

# The binaries, with and without TLS, with symbols, which the tests inspect.

SOURCES = $(wildcard *.c *.h) index.html videre.js Makefile device.mk build/version

# `make dist VERSION=1.0.0` compiles again.
build/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

# These flags make our own files 2 to 3 % smaller than -Os does, and not slower: on x86_64 a packet costs a few
# instructions less.
SMALLER = -Oz -fno-move-loop-invariants -fno-tree-loop-im -fno-optimize-sibling-calls

# gcc optimises our own files and BearSSL's as one, which makes the binaries 4 to 9 % smaller.  lld can not call
# gcc, so gcc first links them into an object.  With its linker plugin, gcc would keep every function for other
# objects.
WHOLE = -r -nostdlib -no-pie -fwhole-program -flto-partition=none -fno-use-linker-plugin -flinker-output=$(if $(IS_PIE),pie,exec)

build/device/%/videre build/device-notls/%/videre: private OWN = $(SMALLER) -flto $(OWN_$*) $(PROTECTOR)

build/device/%/videre: toolchain/%/built $(SOURCES)
	@echo "compiling for $*"
	@$(MAKE) --silent B=$(@D) $(DEVICE) $@

build/device-notls/%/videre: toolchain/%/built $(SOURCES)
	@echo "compiling for $*, without TLS"
	@$(MAKE) --silent TLS=0 B=$(@D) $(DEVICE) $@

%/videre.stripped: %/videre device/strip.sh
	@device/strip.sh $(CC_$(notdir $*)) $< $@

# The packages.  The same source gives the same bytes: a package contains no time, path or user of its build.

PACKED = videre-$(VERSION)-$*
STARTS = $(addprefix device/,S50videre inittab videre.service openwrt/videre/files/videre.init openwrt/videre/files/videre.config)
DEVICE_FILES = $(STARTS) $(addprefix device/,README.md install.sh conf.json)
GCC_LICENCE = $(firstword $(wildcard /usr/share/doc/gcc-*-base/copyright))
# The bytes of an archive depend on names and contents of the files below a directory, and on nothing else.
TAR = LC_ALL=C tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar

dist/videre-$(VERSION)-%.tar.gz: build/device/%/videre.stripped LICENSE videre.8 $(DEVICE_FILES) Makefile device.mk
	@rm -rf build/dist/$(PACKED) && mkdir -p build/dist/$(PACKED)/licences dist
	@install -m 755 $< build/dist/$(PACKED)/videre
	@install -m 755 device/install.sh $(filter %S50videre %.init,$(STARTS)) build/dist/$(PACKED)
	@install -m 644 videre.8 device/conf.json $(filter-out %S50videre %.init,$(STARTS)) build/dist/$(PACKED)
	@sed 's/@VERSION@/$(VERSION)/; s/@TARGET@/$*/; s/@DEVICE@/$(FOR_$*)/' device/README.md >build/dist/$(PACKED)/README.md
	@install -m 644 LICENSE build/dist/$(PACKED)/licences/videre
	@install -m 644 toolchain/source/musl/COPYRIGHT build/dist/$(PACKED)/licences/musl
	@install -m 644 toolchain/source/bearssl/LICENSE.txt build/dist/$(PACKED)/licences/BearSSL
	@install -m 644 $(GCC_LICENCE) build/dist/$(PACKED)/licences/libgcc
	@$(TAR) -C build/dist -cf - $(PACKED) | gzip -9n >$@
	@echo "$@: for $(FOR_$*)"

ARCHIVES = $(TARGETS:%=dist/videre-$(VERSION)-%.tar.gz)

dist: $(ARCHIVES) ## packs videre for the devices; TARGETS="mips armel" for two of them (after ./deps.sh dist)
	@cd dist && sha256sum $(^F) >SHA256SUMS

# A release: the archives, the source, the section of CHANGELOG.md, and the hashes of all.  The section is that of
# the version; before it has one, `Unreleased`.

SOURCE = dist/videre-$(VERSION).tar.gz
NOTES = dist/videre-$(VERSION).md

$(SOURCE): FORCE
	@git ls-files --error-unmatch Makefile >/dev/null
	@rm -rf build/dist/videre-$(VERSION) && mkdir -p build/dist/videre-$(VERSION) dist
	@git ls-files -z | xargs -0 tar -cf - | tar -C build/dist/videre-$(VERSION) -xf -
	@$(TAR) -C build/dist -cf - videre-$(VERSION) | gzip -9n >$@

$(NOTES): CHANGELOG.md Makefile
	@mkdir -p dist
	@for title in '$(VERSION)' Unreleased; do \
		awk -v title="$$title" '/^## /{ on = $$2 == title || $$2 == "[" title "]"; next } \
			on && (NF || begun) { begun = 1; print }' $< >$@; \
		! grep -q . $@ || exit 0; \
	done; echo "CHANGELOG.md has no section for $(VERSION)" >&2; exit 1

release: $(ARCHIVES) $(SOURCE) $(NOTES) ## makes archives, source, notes and SHA256SUMS in dist/ (after ./deps.sh dist)
	@cd dist && sha256sum $(^F) >SHA256SUMS

# The tests read this list.
list-targets: ## lists the devices, with the compiler and the emulator of each
	@$(foreach t,$(TARGETS),echo $(t) $(CC_$(t)) $(RUN_$(t));)

DEVICE_BINARIES = videre $(TARGETS:%=build/device/%/videre.stripped) $(TARGETS:%=build/device-notls/%/videre.stripped)

device-test: $(DEVICE_BINARIES) ## runs the tests on emulated devices
	@$(forget_failures)
	cd test/device && $(call NODE_TEST,devices) *.test.mjs || $(tell_failures)

sizes: $(DEVICE_BINARIES) ## measures the table of doc/devices.md, and writes it there
	cd test/device && VIDERE_SIZES=write node --test sizes.test.mjs

fresh-test: ## builds an archive on a minimal Debian, as root, and counts what is downloaded, in 10 minutes
	cd test/device && node --test fresh.mjs

.SECONDARY:
.PHONY: FORCE toolchains dist release list-targets device-test sizes fresh-test
