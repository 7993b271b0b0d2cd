/* What guard.c allows: the resumption of sessions, by their ALPN, and points of ECDHE. */
#include "guard.h"
#include "unit.h"

static unsigned char store[1000];
static struct guard_cache cache;
static br_ssl_server_context context;

/* Cipher suites and compression methods, which follow the session ID in a ClientHello. */
#define FRONT "\0\2\xc0\x2b\1\0"

/* Does a ClientHello resume a cached session if `hello` follows its session ID? */
static bool
resumes(const char *hello, size_t length)
{
	br_ssl_session_parameters session = { .session_id_len = 32,
					      .version = BR_TLS12,
					      .cipher_suite = 0xc02b };
	unsigned char *data = copy(hello, length);

	guard_cache_init(&cache, store, sizeof store);
	memset(&context, 0, sizeof context);
	br_hmac_drbg_init(&context.eng.rng, &br_sha256_vtable, "seed", 4);
	cache.vtable->save(&cache.vtable, &context, &session);
	session.cipher_suite = 0;
	context.eng.protocol_names_num = 1;
	context.eng.hbuf_in = data;
	context.eng.hlen_in = length;
	bool loaded = cache.vtable->load(&cache.vtable, &context, &session) != 0;
	free(data);
	assert_int_equal(session.cipher_suite, loaded ? 0xc02b : 0);
	assert_int_equal(context.eng.protocol_names_num, loaded ? 0 : 1);
	assert_true(context.eng.selected_protocol <= loaded);
	return loaded;
}

static void
a_session_is_resumed_without_alpn(void **state)
{
	const struct span hellos[] = {
		SPAN(FRONT),
		SPAN(FRONT "\0\0"),
		SPAN(FRONT "\0\4\0\0\0\0"),
		SPAN(FRONT "\0\11\0\27\0\0\0\43\0\1x"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(hellos); i++) {
		assert_true(resumes(hellos[i].data, hellos[i].length));
		assert_int_equal(context.eng.selected_protocol, 0);
	}
}

static void
a_session_is_resumed_with_our_protocol(void **state)
{
	const struct span hellos[] = {
		SPAN(FRONT "\0\17\0\20\0\13\0\11\10http/1.1"),
		SPAN(FRONT "\0\22\0\20\0\16\0\14\2h2\10http/1.1"),
		SPAN(FRONT "\0\22\0\20\0\16\0\14\10http/1.1\2h2"),
		SPAN(FRONT "\0\27\0\0\0\0\0\20\0\13\0\11\10http/1.1\0\43\0\0"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(hellos); i++) {
		assert_true(resumes(hellos[i].data, hellos[i].length));
		assert_int_equal(context.eng.selected_protocol, 1);
	}
}

static void
no_session_is_resumed_with_another_protocol(void **state)
{
	const struct span hellos[] = {
		SPAN(FRONT "\0\11\0\20\0\5\0\3\2h2"),
		SPAN(FRONT "\0\6\0\20\0\2\0\0"),
		SPAN(FRONT "\0\7\0\20\0\3\0\1\0"),
		SPAN(FRONT "\0\4\0\20\0\0"),
		SPAN(FRONT "\0\20\0\20\0\14\0\12\11http/1.1\0"),
		SPAN(FRONT "\0\16\0\20\0\12\0\10\7http/1."),
		/* twice */
		SPAN(FRONT "\0\30\0\20\0\13\0\11\10http/1.1\0\20\0\5\0\3\2h2"),
		SPAN(FRONT "\0\36\0\20\0\13\0\11\10http/1.1\0\20\0\13\0\11\10http/1.1"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(hellos); i++)
		assert_false(resumes(hellos[i].data, hellos[i].length));
}

static void
no_session_is_resumed_by_a_part_of_a_hello(void **state)
{
	static const char hello[] = FRONT "\0\23\0\0\0\0\0\20\0\13\0\11\10http/1.1";
	const size_t length = sizeof hello - 1;

	(void)state;
	assert_true(resumes(hello, length));
	for (size_t i = 0; i < length; i++)
		if (i != sizeof FRONT - 1)
			assert_false(resumes(hello, i));
	/* Nor by a ClientHello with an additional byte. */
	assert_false(resumes(hello, sizeof hello));
}

static void
wrong_lengths_of_extensions_resume_nothing(void **state)
{
	static const char hello[] = FRONT "\0\17\0\20\0\13\0\11\10http/1.1";
	static const size_t lengths[] = { 7, 11, 13, 14 };
	char data[sizeof hello];

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++)
		for (unsigned value = 0; value < 256; value++) {
			memcpy(data, hello, sizeof hello);
			if ((unsigned char)data[lengths[i]] == value)
				continue;
			data[lengths[i]] = (char)value;
			assert_false(resumes(data, sizeof hello - 1));
		}
}

static const int curves[] = { BR_EC_secp256r1, BR_EC_secp384r1, BR_EC_secp521r1,
			      BR_EC_curve25519 };
static const unsigned char factor[32] = { 1, 2, 3, 4, 5, 6, 7, 9 };

static void
valid_points_are_multiplied_as_in_the_library(void **state)
{
	const br_ec_impl *library = br_ec_get_default(), *checked = &guard_ec;

	(void)state;
	assert_int_equal(checked->supported_curves, library->supported_curves);
	for (size_t i = 0; i < COUNT(curves); i++) {
		size_t length;
		const unsigned char *point = library->generator(curves[i], &length);
		unsigned char *a = copy(point, length), *b = copy(point, length);
		assert_int_equal(
		    library->mul(a, length, factor, sizeof factor, curves[i]), 1);
		assert_int_equal(
		    checked->mul(b, length, factor, sizeof factor, curves[i]), 1);
		assert_memory_equal(a, b, length);
		free(a);
		free(b);
	}
}

static void
points_of_wrong_length_or_encoding_are_refused_unchanged(void **state)
{
	const br_ec_impl *checked = &guard_ec;

	(void)state;
	for (size_t i = 0; i < COUNT(curves); i++) {
		size_t right;
		const unsigned char *point = checked->generator(curves[i], &right);
		for (size_t length = 0; length < 256; length++)
			for (unsigned first = 0; first < 8; first++) {
				unsigned char before[256] = { 0 };
				memcpy(before, point, length < right ? length : right);
				before[0] = (unsigned char)first;
				if (length == right &&
				    (first == 4 || curves[i] == BR_EC_curve25519))
					continue;
				unsigned char *after = copy(before, length);
				assert_int_equal(checked->mul(after, length, factor,
							      sizeof factor, curves[i]),
						 0);
				assert_memory_equal(before, after, length);
				free(after);
			}
	}
}

static void
points_of_small_order_are_refused(void **state)
{
	/* Points of order 2 and 4.  Their products are zero, because factors of X25519
	 * are multiples of 8. */
	unsigned char zero[32] = { 0 }, one[32] = { 1 };

	(void)state;
	assert_int_equal(
	    guard_ec.mul(zero, sizeof zero, factor, sizeof factor, BR_EC_curve25519), 0);
	assert_int_equal(
	    guard_ec.mul(one, sizeof one, factor, sizeof factor, BR_EC_curve25519), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_resumed_without_alpn),
		cmocka_unit_test(a_session_is_resumed_with_our_protocol),
		cmocka_unit_test(no_session_is_resumed_with_another_protocol),
		cmocka_unit_test(no_session_is_resumed_by_a_part_of_a_hello),
		cmocka_unit_test(wrong_lengths_of_extensions_resume_nothing),
		cmocka_unit_test(valid_points_are_multiplied_as_in_the_library),
		cmocka_unit_test(
		    points_of_wrong_length_or_encoding_are_refused_unchanged),
		cmocka_unit_test(points_of_small_order_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
