# videre: see README.md.  Each variable that is set with ?= can be set in the environment or on the
# command line: CC and AR or CROSS_COMPILE, CFLAGS (alone with -fPIE, as the default LDFLAGS have -pie), LDFLAGS,
# CPPFLAGS, TLS, PAGE, BEARSSL (its source tree, built there if it is not yet; else the compiler's own libbearssl.a),
# DESTDIR, PREFIX.

VERSION = 0.1.0
CROSS_COMPILE ?=
# `CC ?=` would have no effect: make has a CC and an AR of its own.
ifeq ($(origin CC),default)
CC = $(if $(CROSS_COMPILE),$(CROSS_COMPILE)gcc,cc)
endif
ifeq ($(origin AR),default)
AR = $(CROSS_COMPILE)ar
endif
CPPFLAGS ?=
CFLAGS ?= -O2 -g $(if $(CROSS_COMPILE),,$(HARDENED))
LDFLAGS ?= $(if $(CROSS_COMPILE),,$(HARDENED_LINK))
# A defect should end the program, not help an attacker.  Cross compilers do not all have these options, so
# cross builds set their own.
HARDENED = -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fPIE
HARDENED_LINK = -pie -Wl,-z,relro,-z,now,-z,noexecstack
BEARSSL ?=
# 0 leaves TLS out.
TLS ?= 1
# 0 leaves the page and the module out.
PAGE ?= 1
# `make install` writes below $(DESTDIR)$(PREFIX).
DESTDIR ?=
PREFIX ?= /usr/local

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -DVIDERE_VERSION='"$(VERSION)"' -DHAVE_TLS=$(TLS) -DHAVE_PAGE=$(PAGE) $(WARNINGS) -I. -I$(B) \
	$(if $(BEARSSL),-isystem $(BEARSSL)/inc) $(CPPFLAGS) $(CFLAGS)
LIBBEARSSL = $(if $(BEARSSL),$(BEARSSL)/build/libbearssl.a)
LIBS = $(or $(LIBBEARSSL),-l:libbearssl.a)
SANITIZERS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DHAVE_SANDBOX=0

TLS_FILES = $(if $(filter 0,$(TLS)),notls,cert der altname authority guard suites tls renewal)
# All source files but videre.c, which is the program on top of them.
FILES = text json http http_value ws memory entropy rate addresses rooms packet secret_file token ice_server logfile lograte log origin conf socket sandbox check secrets pollset client tls_error $(TLS_FILES) redirect conn report accept share loop web websocket sockjs_frame session_table receiver session sockjs admission signaller page ice monitor
UNITS = text origin json http ws memory rate addresses rooms packet token admission ice log conf cert renewal guard sockjs_frame session_table signaller share report
# Each way to build has its own directory of objects.
B = build/$(or $(notdir $(CROSS_COMPILE:%-=%)),plain)$(if $(filter 0,$(TLS)),-notls)$(if $(filter 0,$(PAGE)),-nopage)
OBJECTS = $(FILES:%=$(B)/%.o) $(B)/videre.o

all: videre ## builds videre, optimised, with debug information

videre: $(B)/videre
	cp $(B)/videre $@

test/echo: $(B)/echo
	cp $(B)/echo $@

$(B)/videre: $(if $(WHOLE),$(B)/whole.o,$(OBJECTS)) | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# All files and BearSSL's as one object, for device.mk, which sets WHOLE.
$(B)/whole.o: $(OBJECTS) | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(WHOLE) -o $@ $^ $(sort $(wildcard $(BEARSSL)/build/obj/*.o))

$(B)/echo: $(FILES:%=$(B)/%.o) $(B)/test/echo.o | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/cert_tool $(B)/token_tool: $(B)/%: $(FILES:%=$(B)/%.o) $(B)/test/%.o | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# The test implements the sessions.
$(B)/signaller_test: $(addprefix $(B)/,$(addsuffix .o,test/signaller_test signaller admission token secret_file entropy http http_value socket report packet rooms rate json text memory log lograte logfile)) | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# The test implements the sessions and the clock.
$(B)/admission_test: $(addprefix $(B)/,$(addsuffix .o,test/admission_test admission token secret_file entropy packet http http_value socket rate json text memory log lograte logfile)) | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# The test implements the log and the clock.
$(B)/report_test: $(addprefix $(B)/,$(addsuffix .o,test/report_test report text))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka

# The test implements the connections and the clock.
$(B)/share_test: $(addprefix $(B)/,$(addsuffix .o,test/share_test share memory))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka

$(B)/%_test: $(B)/test/%_test.o $(FILES:%=$(B)/%.o) | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# -MMD writes which headers an object includes, -MP keeps a removed header from stopping make.
$(B)/%.o: %.c $(B)/settings Makefile device.mk
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(addprefix $(B)/,*.d test/*.d test/fuzz/*.d))

# The settings of the last build: others rebuild everything.  `make install` alone does not compare
# them, because packagers name the compiler and its flags only to the `make` that comes before it.
$(B)/settings: export SETTINGS := $(CC) $(ALL_CFLAGS) $(WHOLE) $(LDFLAGS) $(LIBS)
$(B)/settings: $(if $(filter-out install,$(or $(MAKECMDGOALS),all)),FORCE)
	@mkdir -p $(@D)
	@printf '%s\n' "$$SETTINGS" | cmp -s - $@ || printf '%s\n' "$$SETTINGS" >$@

# The page and the module, compressed into arrays for page.c, with their ETags, and the hashes of the page's script
# and style: the text between the lines <script> and </script>, <style> and </style>.

hash = $$($(call smaller,index.html) | sed -n '/^<$1\( type="module"\)*>$$/,/^<\/$1>$$/p' | sed '1s/.*//;$$d' | sha256sum | $(HEX_TO_BASE64))
HEX_TO_BASE64 = (read -r hex rest; env printf "$$(echo $$hex | sed 's/../\\x&/g')" | base64)

# Without comments, indentation, empty lines and needless ends of lines: they are a third of the two.
$(B)/%.gz: % Makefile
	@mkdir -p $(@D)
	$(call smaller,$<) | gzip -9n >$@

smaller = sed -e '/^<!--.*-->$$/d' -e '/^\t*\/\*.*\*\/$$/d' -e '/^\t*\/\*/,/\*\/$$/d' -e 's,[ \t]*/\*[^*]*\*/$$,,' -e 's/^\t*//' -e '/^$$/d' $1 | awk '{ printf "%s%s", $$0, /[{(,;]$$/ ? "" : "\n" }'

# tag NAME, FILE: defines the ETag of a compressed file; array NAME, FILE: the file itself
tag = echo "\#define $1 \"\\\"$$(sha256sum <$2 | cut -c -16)\\\"\"" >>$@
array = (echo "static const unsigned char $1[] = {"; od -An -v -tx1 $2 | sed 's/ \(..\)/0x\1,/g'; echo "};") >>$@

$(B)/page_data.h: $(B)/index.html.gz $(B)/videre.js.gz Makefile
	echo "#define PAGE_SCRIPT \"$(call hash,script)\"" >$@
	echo "#define PAGE_STYLE \"$(call hash,style)\"" >>$@
	$(call tag,PAGE_TAG,$(B)/index.html.gz)
	$(call array,page_data,$(B)/index.html.gz)
	$(call tag,MODULE_TAG,$(B)/videre.js.gz)
	$(call array,module_data,$(B)/videre.js.gz)

$(if $(filter 0,$(PAGE)),,$(B)/page.o: $(B)/page_data.h)

# `make help` prints the text after ## of each rule.
help: ## lists these targets
	@sed -n 's/^\([a-z-]*\):.* ## /\1 /p' Makefile device.mk | while read -r target text; do \
		printf '%-13s %s\n' "$$target" "$$text"; done

run: videre ## builds and starts videre with conf.json
	./videre

# Builds first if needed.  The installed conf.json is an example; no configuration is overwritten.

TO = $(DESTDIR)$(PREFIX)

install: $(B)/videre ## installs below $(DESTDIR)$(PREFIX)
	install -d $(TO)/sbin $(TO)/share/man/man8 $(TO)/share/doc/videre/doc
	install -m 755 $(B)/videre $(TO)/sbin
	install -m 644 videre.8 $(TO)/share/man/man8
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE page.png conf.json $(TO)/share/doc/videre
	install -m 644 doc/* $(TO)/share/doc/videre/doc

uninstall: ## removes what install has installed
	rm -f $(TO)/sbin/videre $(TO)/share/man/man8/videre.8
	rm -rf $(TO)/share/doc/videre

# Tests: of a build with sanitizers, and of the build that is shipped.

SANITIZED = $(MAKE) --silent B=build/san CFLAGS='$(SANITIZERS)'

build/noalloc.so build/forbidden.so build/faults.so build/seed.so build/hugepages.so: build/%.so: test/%.c
	@mkdir -p build
	$(CC) -std=c11 -O2 $(WARNINGS) -shared -fPIC -o $@ $<

sanitized: ## builds what most tests run, with the address and undefined behaviour sanitizers
	+$(SANITIZED) build/san/videre build/san/echo build/san/cert_tool build/san/token_tool $(UNITS:%=build/san/%_test)

without-tls: ## builds videre without TLS
	$(MAKE) --silent TLS=0 B=build/notls build/notls/videre

without-page: ## builds videre without the page and the module
	$(MAKE) --silent PAGE=0 B=build/nopage build/nopage/videre

debug: ## builds build/debug/videre for a debugger, not optimised
	$(MAKE) --silent B=build/debug CFLAGS='-O0 -g3' LDFLAGS= build/debug/videre

unit-test: sanitized ## runs the unit tests; UNITS="json ws" runs two of them
	@for unit in $(UNITS); do \
		build/san/$${unit}_test >build/san/$$unit.log 2>&1 || { cat build/san/$$unit.log; exit 1; }; \
		echo "$$unit: $$(tail -n 1 build/san/$$unit.log)"; \
	done

# The gate before a commit.  As in .ci/run, a warning is an error.
CHECKED = signalling websocket
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

check: ## builds, runs unit and signalling tests, checks format and lint, in under a minute
	@$(MAKE) --silent $(JOBS) -Otarget check-format lint sanitized strict
	@$(MAKE) --silent $(JOBS) -Otarget unit-test signalling-test

strict: ## builds with gcc, with a warning as an error
	$(MAKE) --silent B=build/gcc CC=gcc CFLAGS='-O2 -Werror' build/gcc/videre build/gcc/echo

signalling-test: sanitized ## runs the tests of packets and of WebSocket
	cd test && node --test --test-reporter=dot $(CHECKED:%=%.test.mjs)

TESTED = videre sanitized without-tls without-page build/noalloc.so build/forbidden.so build/faults.so build/seed.so build/hugepages.so
TESTS = $(patsubst test/%.test.mjs,%,$(wildcard test/*.test.mjs))

# Prints TAP, and writes a line for each failure to build/failures/$1.  Time limits are doubled, as machines are busy.
NODE_TEST = VIDERE_PATIENCE=2 node --test --test-reporter=tap --test-reporter-destination=stdout \
	--test-reporter=$(CURDIR)/test/failures.mjs --test-reporter-destination=$(CURDIR)/build/failures/$1
# Test files mostly wait, so as many run as there are cores, and $2 more.
SHARING = $(NODE_TEST) --test-concurrency=$(shell expr $$(nproc) + $2)
# These files keep browsers busy.  As many run as there are cores, apart from the others.
BROWSERS = appearance authority calls commands examples module module-recovery nat page page-devices page-failures page-layout relay
# These files keep the cores busy, or depend on time limits of browsers or proxies.  They run one by one.
ALONE = browser fleet floods proxies recipes shares
run_files = $(if $2,$1 $(2:%=%.test.mjs) || status=1;)
forget_failures = rm -rf build/failures && mkdir -p build/failures
tell_failures = { { echo "failed:"; cat $(CURDIR)/build/failures/*; } >&2; exit 1; }

test: ## runs all tests on this machine
	@$(MAKE) --silent $(JOBS) $(TESTED) fuzzers
	@$(MAKE) --silent $(JOBS) -Otarget unit-test fuzz-replay
	@$(MAKE) --silent integration-test
	@$(MAKE) --silent variant-test

integration-test: $(TESTED) ## runs the test files; TESTS="conf websocket" runs two of them
	@$(forget_failures)
	cd test && status=0; $(call run_files,$(call SHARING,most,1),$(filter-out $(BROWSERS) $(ALONE),$(TESTS))) \
		$(call run_files,$(call SHARING,browsers,0),$(filter $(BROWSERS),$(TESTS))) \
		$(call run_files,$(call NODE_TEST,alone) --test-concurrency=1,$(filter $(ALONE),$(TESTS))) \
		[ $$status -eq 0 ] || $(tell_failures)

variant-test: $(TESTED) ## runs some test files over TLS, then with failing system calls
	@$(forget_failures)
	cd test && VIDERE_TLS=1 $(call SHARING,tls,0) $(OVER_TLS:%=%.test.mjs) || $(tell_failures)
	cd test && VIDERE=videre VIDERE_PRELOAD=build/faults.so FAULTS_ODDS=200 FAULTS_SEED=$(FAULTS_SEED) \
		$(call SHARING,faults,0) $(OVER_FAULTS:%=%.test.mjs) || $(tell_failures)

# The test files that variant-test runs over TLS.
OVER_TLS = signalling call hostile sockjs-signalling sockjs-client

# The test files that variant-test runs while one of five system calls does less than requested or fails.
# FAULTS_SEED selects these calls.
OVER_FAULTS = signalling sockjs-signalling tls
FAULTS_SEED ?= 1

# All kinds of clients at once.
MINUTES ?= 10
soak: sanitized ## runs all kinds of clients against one server for MINUTES=10
	cd test && MINUTES=$(MINUTES) node --test soak.mjs

# Fuzzing with clang's libFuzzer: `make fuzz` runs each target for FUZZ_SECONDS.

FUZZ_SECONDS ?= 60
FUZZ = cert conf http packet server sockjs tls token ws
# Without tracing comparisons the targets run twice as fast, and find defects sooner.
FUZZ_CFLAGS = $(SANITIZERS) -include test/fuzz/state.h -fsanitize=fuzzer-no-link \
	-fno-sanitize-coverage=trace-cmp
# The functions that test/fuzz/network.c replaces.
FUZZ_WRAPPED = clock_gettime close getrandom open poll ppoll recv send shutdown socket_accept socket_listen socket_write

fuzzers: ## builds the fuzz targets with clang
	$(MAKE) --silent B=build/fuzz CC=clang CFLAGS='$(FUZZ_CFLAGS)' $(FUZZ:%=build/fuzz/%_fuzz)

fuzz: fuzzers ## fuzzes each target for FUZZ_SECONDS=60; FUZZ="http ws" fuzzes two of them
	test/fuzz/run.sh fuzz $(FUZZ_SECONDS) $(FUZZ)

fuzz-replay: fuzzers ## runs the fuzz targets on the committed inputs
	@test/fuzz/run.sh replay $(FUZZ)

$(B)/server_fuzz $(B)/tls_fuzz: $(B)/%: $(addprefix $(B)/,test/fuzz/%.o $(filter-out memory.o,$(FILES:%=%.o)) test/fuzz/network.o test/fuzz/memory.o)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -fsanitize=fuzzer $(FUZZ_WRAPPED:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

$(B)/%_fuzz: $(B)/test/fuzz/%_fuzz.o $(FILES:%=$(B)/%.o)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# The TLS target replaces keys and signatures, which take most of the time.
$(B)/tls_fuzz: FUZZ_WRAPPED += br_ec_get_default br_ecdsa_sign_asn1_get_default

# Measurements: videre compared with other servers, and the instructions that a packet costs.

BENCH = load relay lws
LIBS_load = -lssl -lcrypto
LIBS_flood = -lssl -lcrypto
LIBS_relay = -lcrypto
LIBS_lws = -lwebsockets

build/bench/load build/bench/flood: bench/peer.c bench/peer.h

build/bench/%: bench/%.c
	@mkdir -p build/bench
	$(CC) -std=c11 -O2 -g $(WARNINGS) -o $@ $(filter %.c,$^) $(LIBS_$*)

bench: videre $(BENCH:%=build/bench/%) ## measures videre and other servers, in 10 minutes
	node bench/run.mjs
	node bench/report.mjs

instructions: videre build/bench/load ## counts the instructions that a relayed packet costs
	node bench/instructions.mjs

attacks: videre build/bench/flood ## measures how long floods make other clients wait, in 10 minutes
	node bench/attacks.mjs

# Proofs: see test/proof/proof.h.
prove: ## proves the scanners and decoders with CBMC
	test/proof/run.sh

C_FILES = $(wildcard $(foreach directory,. test test/fuzz test/proof bench,$(directory)/*.[ch]))

format: ## lays out all C files
	clang-format -i $(C_FILES)

check-format: ## reports C files that `make format` would change
	@clang-format --dry-run --Werror $(C_FILES)

lint: ## runs cppcheck
	cppcheck --force --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
		--suppress=missingIncludeSystem -I. *.c test/echo.c

# BearSSL's own Makefile builds it, without its -fPIC.
$(LIBBEARSSL):
	$(MAKE) --silent -C $(BEARSSL) lib CC='$(CC)' AR='$(AR)' CFLAGS='$(CFLAGS)' BUILD=build

clean: ## removes everything that was built, except toolchain/
	rm -rf build dist videre test/echo

include device.mk

.DELETE_ON_ERROR:
.PHONY: all help run install uninstall sanitized without-tls without-page debug unit-test check strict signalling-test fuzzers fuzz fuzz-replay test integration-test variant-test soak bench \
	instructions attacks prove format check-format lint clean
