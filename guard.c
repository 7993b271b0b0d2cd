#include "guard.h"

#include "text.h"

/*
 * Sessions
 */

enum alpn {
	ALPN_NONE, /* no ALPN extension */
	ALPN_OURS, /* one that lists GUARD_PROTOCOL */
	ALPN_OTHER /* anything else, such as a ClientHello that is not complete */
};

/* Takes `length` bytes off the front of `rest`.  Returns false if it has fewer. */
static bool
take(struct span *rest, size_t length, struct span *taken)
{
	if (length > rest->length)
		return false;
	*taken = (struct span){ rest->data, length };
	*rest = (struct span){ rest->data + length, rest->length - length };
	return true;
}

/* The same for a vector (RFC 5246 section 4.3) whose length field has `field` bytes. */
static bool
take_vector(struct span *rest, size_t field, struct span *taken)
{
	size_t length = 0;
	struct span head;

	if (!take(rest, field, &head))
		return false;
	for (size_t i = 0; i < field; i++)
		length = length << 8 | (unsigned char)head.data[i];
	return take(rest, length, taken);
}

/* Searches an ALPN extension (RFC 7301 section 3.1) for GUARD_PROTOCOL. */
static enum alpn
search_protocols(struct span contents)
{
	enum alpn found = ALPN_OTHER;
	struct span list, name;

	if (!take_vector(&contents, 2, &list) || contents.length != 0)
		return ALPN_OTHER;
	while (list.length != 0) {
		if (!take_vector(&list, 1, &name))
			return ALPN_OTHER;
		if (span_is(name, GUARD_PROTOCOL))
			found = ALPN_OURS;
	}
	return found;
}

/* Searches the part of a ClientHello after the session ID for one ALPN extension. */
static enum alpn
search_hello(struct span hello)
{
	enum { ALPN = 16 };
	enum alpn found = ALPN_NONE;
	struct span skipped, extensions, type, contents;

	if (!take_vector(&hello, 2, &skipped) || !take_vector(&hello, 1, &skipped))
		return ALPN_OTHER;
	if (hello.length == 0)
		return ALPN_NONE;
	if (!take_vector(&hello, 2, &extensions) || hello.length != 0)
		return ALPN_OTHER;
	while (extensions.length != 0) {
		if (!take(&extensions, 2, &type) ||
		    !take_vector(&extensions, 2, &contents))
			return ALPN_OTHER;
		if (type.data[0] != 0 || type.data[1] != ALPN)
			continue;
		if (found != ALPN_NONE || search_protocols(contents) != ALPN_OURS)
			return ALPN_OTHER;
		found = ALPN_OURS;
	}
	return found;
}

/* BearSSL passes a pointer to the cache's first member. */
static br_ssl_session_cache_lru *
lru_of(const br_ssl_session_cache_class **vtable)
{
	return &((struct guard_cache *)(void *)vtable)->lru;
}

static void
save_session(const br_ssl_session_cache_class **cache, br_ssl_server_context *context,
	     const br_ssl_session_parameters *session)
{
	br_ssl_session_cache_lru *lru = lru_of(cache);

	lru->vtable->save(&lru->vtable, context, session);
}

/*
 * BearSSL calls this while it reads a ClientHello, after the session ID.  hbuf_in holds
 * the rest of the record.  With protocol_names_num set to 0 BearSSL ignores the ALPN
 * extension, so the protocol selected here stays.
 */
static int
load_session(const br_ssl_session_cache_class **cache, br_ssl_server_context *context,
	     br_ssl_session_parameters *session)
{
	br_ssl_session_cache_lru *lru = lru_of(cache);
	br_ssl_engine_context *engine = &context->eng;
	enum alpn alpn =
	    search_hello((struct span){ (char *)engine->hbuf_in, engine->hlen_in });

	if (alpn == ALPN_OTHER || !lru->vtable->load(&lru->vtable, context, session))
		return 0;
	engine->selected_protocol = alpn == ALPN_OURS; /* counted from 1; 0: none */
	engine->protocol_names_num = 0;
	return 1;
}

void
guard_cache_init(struct guard_cache *cache, unsigned char *store, size_t length)
{
	static const br_ssl_session_cache_class class = { sizeof *cache, save_session,
							  load_session };

	br_ssl_session_cache_lru_init(&cache->lru, store, length);
	cache->vtable = &class;
}

/*
 * Key exchange
 */

/* Is the encoding one of RFC 8422 section 5.4: uncompressed, or X25519? */
static bool
is_point(const unsigned char *point, size_t length, int curve)
{
	enum { UNCOMPRESSED = 4 };

	switch (curve) {
	case BR_EC_secp256r1: return length == 1 + 2 * 32 && *point == UNCOMPRESSED;
	case BR_EC_secp384r1: return length == 1 + 2 * 48 && *point == UNCOMPRESSED;
	case BR_EC_secp521r1: return length == 1 + 2 * 66 && *point == UNCOMPRESSED;
	case BR_EC_curve25519: return length == 32;
	default: return false;
	}
}

/* The members of br_ec_impl.  If mul returns 0, BearSSL uses a random secret. */

static const unsigned char *
generator(int curve, size_t *length)
{
	return br_ec_get_default()->generator(curve, length);
}

static const unsigned char *
order(int curve, size_t *length)
{
	return br_ec_get_default()->order(curve, length);
}

static size_t
x_offset(int curve, size_t *length)
{
	return br_ec_get_default()->xoff(curve, length);
}

static uint32_t
multiply(unsigned char *point, size_t length, const unsigned char *factor,
	 size_t factor_length, int curve)
{
	unsigned char any_bits = 0;

	if (!is_point(point, length, curve))
		return 0;
	uint32_t valid =
	    br_ec_get_default()->mul(point, length, factor, factor_length, curve);
	for (size_t i = 0; i < length; i++)
		any_bits |= point[i];
	return any_bits != 0 ? valid : 0;
}

static size_t
multiply_generator(unsigned char *point, const unsigned char *factor, size_t length,
		   int curve)
{
	return br_ec_get_default()->mulgen(point, factor, length, curve);
}

static uint32_t
multiply_and_add(unsigned char *a, const unsigned char *b, size_t length,
		 const unsigned char *x, size_t x_length, const unsigned char *y,
		 size_t y_length, int curve)
{
	return br_ec_get_default()->muladd(a, b, length, x, x_length, y, y_length, curve);
}

const br_ec_impl guard_ec = {
	1U << BR_EC_secp256r1 | 1U << BR_EC_secp384r1 | 1U << BR_EC_secp521r1 |
	    1U << BR_EC_curve25519,
	generator,
	order,
	x_offset,
	multiply,
	multiply_generator,
	multiply_and_add,
};
