# videre: see README.md.  What can be set: CC or CROSS_COMPILE, CFLAGS, LDFLAGS, BEARSSL (its source
# tree, built there if it is not yet; else the compiler's own libbearssl.a is taken).

VERSION = 0.1.0
CROSS_COMPILE =
CC = $(if $(CROSS_COMPILE),$(CROSS_COMPILE)gcc,cc)
CFLAGS = -O2 -g
BEARSSL =
# 0 leaves TLS out.
TLS = 1

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -DVIDERE_VERSION='"$(VERSION)"' -DHAVE_TLS=$(TLS) $(WARNINGS) -I. \
	$(if $(BEARSSL),-isystem $(BEARSSL)/inc) $(CFLAGS)
LIBBEARSSL = $(if $(BEARSSL),$(BEARSSL)/build/libbearssl.a)
LIBS = $(or $(LIBBEARSSL),-l:libbearssl.a)
SANITIZERS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

TLS_FILES = $(if $(filter 0,$(TLS)),notls,cert selfsign tls)
# All but videre.c, which is a service on top of them.
FILES = text json http ws memory source rooms packet log conf socket $(TLS_FILES) conn web frame session sockjs
UNITS = text json http ws memory source rooms packet log conf cert frame
HEADERS = $(filter-out notls.h,$(FILES:%=%.h)) cert.h selfsign.h tls.h test/unit.h
# A set of objects for each way to build.
B = build/$(or $(CROSS_COMPILE:%-=%),plain)$(if $(filter 0,$(TLS)),-notls)

all: videre

videre: $(B)/videre
	cp $(B)/videre $@

test/echo: $(B)/echo
	cp $(B)/echo $@

$(B)/videre: $(FILES:%=$(B)/%.o) $(B)/videre.o | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/echo: $(FILES:%=$(B)/%.o) $(B)/test/echo.o | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/cert_tool: $(FILES:%=$(B)/%.o) $(B)/test/cert_tool.o | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%_test: $(B)/test/%_test.o $(FILES:%=$(B)/%.o) | $(LIBBEARSSL)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(B)/%.o: %.c $(HEADERS) $(MAKEFILE_LIST)
	@mkdir -p $(B)/test
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

run: videre
	./videre

# Tests: build with sanitizers, and once as it is shipped.

SANITIZED = $(MAKE) --silent B=build/san CFLAGS='$(SANITIZERS)'

build/noalloc.so: test/noalloc.c
	@mkdir -p build
	$(CC) -std=c11 -O2 $(WARNINGS) -shared -fPIC -o $@ test/noalloc.c

sanitized:
	$(SANITIZED) build/san/videre build/san/echo build/san/cert_tool $(UNITS:%=build/san/%_test)

without-tls:
	$(MAKE) --silent TLS=0 B=build/notls build/notls/videre

unit-test: sanitized
	@for unit in $(UNITS); do build/san/$${unit}_test || exit 1; done

test: videre unit-test without-tls build/noalloc.so
	cd test && node --test *.test.mjs
	cd test && VIDERE_TLS=1 node --test $(OVER_TLS:%=%.test.mjs)

# What is tested once more over TLS.
OVER_TLS = signalling call hostile sockjs-signalling sockjs-client

lint:
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
		--suppress=missingIncludeSystem -I. *.c test/echo.c

# BearSSL's own Makefile does the work; its -fPIC is left out.
$(LIBBEARSSL):
	$(MAKE) --silent -C $(BEARSSL) lib CC='$(CC)' AR=$(CROSS_COMPILE)ar CFLAGS='$(CFLAGS)' BUILD=build

clean:
	rm -rf build dist videre test/echo

include device.mk

.PHONY: all run sanitized without-tls unit-test test lint clean
