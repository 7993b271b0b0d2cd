/* The environment of `make` in a test, without the settings of the `make` that runs the test. */
const { MAKEFLAGS, MAKELEVEL, MFLAGS, MAKEOVERRIDES, CROSS_COMPILE, CC, CPPFLAGS, CFLAGS, LDFLAGS, BEARSSL, TLS, PAGE,
	DESTDIR, PREFIX, TARGETS, ...rest } = process.env;

export const environment = rest;
