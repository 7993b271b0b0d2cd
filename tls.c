#include "tls.h"

#include "client.h"
#include "entropy.h"
#include "guard.h"
#include "log.h"

#include <bearssl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	/* Bytes of records on their way out: a turn's worth of small packets, and short
	 * certificate chains in one. */
	OUTPUT = 4096 + 85,
	SESSIONS = 16384, /* bytes of the cache for resumption: 100 a session */
	SMALL = 3584,	  /* bytes of `input` that stay: to the end of its first page */
	RECORD = 16384,	  /* bytes in one, at most */
	RECORDS = BR_SSL_BUFSIZE_INPUT, /* bytes received at once */
	PULLS = 64, /* of the socket, in one read: a handshake's record takes two */
	RECORD_HEADER = 5,
	HANDSHAKE_RECORD = 22, /* the first byte of whoever speaks TLS */
	/* The random generator is given new entropy after so many ... */
	RESEED_CONNECTIONS = 1000,
	RESEED_S = 3600, /* ... and by the first connection after so many seconds. */
	SWEPT = 500	 /* engines whose memory is given back in one sweep */
};

/* Whether an engine is in use, and if not, since when. */
enum state {
	UNTOUCHED, /* it has no memory */
	OPEN,	   /* a connection has it */
	CLOSED,	   /* ... had it since the last sweep */
	STALE	   /* ... had it before that */
};

struct engine {
	br_ssl_server_context context;
	const struct cert *cert; /* what its handshake uses; NULL once that is over */
	bool begun;		 /* a first byte has come */
	bool established;
	bool reported; /* its failure has been counted */
	bool large;    /* a record has filled more of `input` than one page */
	bool moved;    /* records have gone out since this was asked */
	size_t held;   /* bytes in `input` that the engine has not been told of */
	unsigned char output[OUTPUT];
	unsigned char input[BR_SSL_BUFSIZE_INPUT];
};

static struct {
	unsigned char *engines; /* by connection; NULL: plain sockets */
	size_t stride;		/* bytes from one engine to the next */
	uint8_t *states;	/* of each, an enum state */
	uint32_t count;
	uint32_t closed; /* how many are CLOSED or STALE */
	const struct cert *cert;
	br_hmac_drbg_context random;
	uint64_t opened;      /* connections, ever */
	uint64_t next_reseed; /* as `opened` ... */
	time_t reseed_at;     /* ... and as seconds of CLOCK_MONOTONIC */
	struct guard_cache cache;
	unsigned char *sessions;
	uint32_t handshakes; /* under way, ... */
	uint32_t outdated;   /* ... and of these with a certificate that was renewed */
	struct tls_counters counters;
} tls;

const struct tls_counters *
tls_count(void)
{
	return &tls.counters;
}

void
tls_place(struct memory *m, uint32_t connections)
{
	tls.count = connections + 1;
	tls.states = memory_take(m, tls.count, sizeof *tls.states);
	tls.engines = memory_take_pages(m, tls.count, sizeof(struct engine), &tls.stride);
	tls.sessions = memory_take(m, 1, SESSIONS);
}

void
tls_start(const struct cert *cert, const uint8_t seed[TLS_SEED])
{
	struct timespec now;

	br_hmac_drbg_init(&tls.random, &br_sha256_vtable, seed, TLS_SEED);
	clock_gettime(CLOCK_MONOTONIC, &now);
	tls.next_reseed = RESEED_CONNECTIONS;
	tls.reseed_at = now.tv_sec + RESEED_S;
	guard_cache_init(&tls.cache, tls.sessions, SESSIONS);
	tls.cert = cert;
}

void
tls_renew(const struct cert *cert)
{
	tls.outdated = tls.handshakes;
	tls.cert = cert;
}

bool
tls_may_renew(void)
{
	return tls.outdated == 0;
}

static struct engine *
engine_at(uint32_t conn)
{
	return (struct engine *)(void *)(tls.engines + conn * tls.stride);
}

/* NULL: a plain socket. */
static struct engine *
engine_of(uint32_t conn)
{
	return tls.engines != NULL && tls.states[conn] == OPEN ? engine_at(conn) : NULL;
}

/* A handshake is over, in whatever way: it needs its certificate no more. */
static void
drop_cert(struct engine *e)
{
	if (e->cert == NULL)
		return;
	tls.handshakes--;
	tls.outdated -= e->cert != tls.cert;
	e->cert = NULL;
}

/* AES goes first where the processor has it; elsewhere ChaCha20 costs a sixth. */
static void
set_suites(br_ssl_engine_context *engine)
{
	static const uint16_t aes_first[] = {
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8,
	};
	static const uint16_t chacha_first[] = {
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8,
	};
	bool hardware =
	    br_aes_x86ni_ctr_get_vtable() != NULL || br_aes_pwr8_ctr_get_vtable() != NULL;

	br_ssl_engine_set_suites(engine, hardware ? aes_first : chacha_first,
				 sizeof aes_first / sizeof *aes_first);
}

/*
 * BearSSL's defaults find out as the program runs which of its implementations to take,
 * so that all are linked.  Here it is known as the program is built.
 */
#ifdef __x86_64__
#define CHACHA20 br_chacha20_sse2_run
#else
#define CHACHA20 br_chacha20_ct_run
#endif

#ifdef __SIZEOF_INT128__
static void
set_chacha(br_ssl_engine_context *engine)
{
	br_ssl_engine_set_chapol(engine, &br_sslrec_in_chapol_vtable,
				 &br_sslrec_out_chapol_vtable);
	br_ssl_engine_set_chacha20(engine, CHACHA20);
	br_ssl_engine_set_poly1305(engine, br_poly1305_ctmulq_run);
}
#else
static void
set_chacha(br_ssl_engine_context *engine)
{
	br_ssl_engine_set_default_chapol(engine);
}
#endif

/* Who speaks AES-CCM is a small device that sends little: AES instructions are spared. */
#ifdef __SIZEOF_INT128__
#define AES_CCM br_aes_ct64_ctrcbc_vtable
#else
#define AES_CCM br_aes_ct_ctrcbc_vtable
#endif

static void
set_algorithms(br_ssl_engine_context *engine)
{
	br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
	br_ssl_engine_set_ec(engine, &guard_ec);
	br_ssl_engine_set_default_aes_gcm(engine);
	set_chacha(engine);
	br_ssl_engine_set_ccm(engine, &br_sslrec_in_ccm_vtable,
			      &br_sslrec_out_ccm_vtable);
	br_ssl_engine_set_aes_ctrcbc(engine, &AES_CCM);
}

static void
reseed(time_t now)
{
	unsigned char seed[TLS_SEED];

	if (tls.opened < tls.next_reseed && now < tls.reseed_at)
		return;
	tls.next_reseed = tls.opened + RESEED_CONNECTIONS;
	tls.reseed_at = now + RESEED_S;
	if (entropy_try(seed, sizeof seed))
		br_hmac_drbg_update(&tls.random, seed, sizeof seed);
	memory_wipe(seed, sizeof seed);
}

/*
 * Seeds an engine.  Time and numbers make it differ from that of another start whose
 * kernel had the same random bytes.  The bytes are from our own generator: the system's
 * would be opened for each handshake, which fails when no file can be.
 */
static void
seed_engine(br_ssl_engine_context *engine, uint32_t conn)
{
	struct {
		unsigned char random[TLS_SEED];
		struct timespec real, monotonic;
		uint64_t opened;
		uint64_t conn;
	} seed;

	memset(&seed, 0, sizeof seed);
	clock_gettime(CLOCK_REALTIME, &seed.real);
	clock_gettime(CLOCK_MONOTONIC, &seed.monotonic);
	reseed(seed.monotonic.tv_sec);
	br_hmac_drbg_generate(&tls.random, seed.random, sizeof seed.random);
	seed.opened = tls.opened++;
	seed.conn = conn;
	br_ssl_engine_inject_entropy(engine, &seed, sizeof seed);
	engine->rng_os_rand_done = 1;
	memory_wipe(&seed, sizeof seed);
}

void
tls_open(uint32_t conn)
{
	static const char *protocols[] = { GUARD_PROTOCOL };
	struct engine *e;

	if (tls.engines == NULL)
		return;
	e = engine_at(conn);
	tls.closed -= tls.states[conn] != UNTOUCHED;
	tls.states[conn] = OPEN;
	br_ssl_server_context *c = &e->context;
	e->cert = tls.cert;
	tls.handshakes++;
	e->begun = e->established = e->reported = e->large = e->moved = false;
	e->held = 0;
	br_ssl_server_zero(c);
	br_ssl_engine_set_versions(&c->eng, BR_TLS12, BR_TLS12);
	set_suites(&c->eng);
	set_algorithms(&c->eng);
	br_ssl_engine_add_flags(&c->eng, BR_OPT_ENFORCE_SERVER_PREFERENCES |
					     BR_OPT_NO_RENEGOTIATION |
					     BR_OPT_FAIL_ON_ALPN_MISMATCH);
	br_ssl_engine_set_protocol_names(&c->eng, protocols, 1);
	br_ssl_server_set_cache(c, &tls.cache.vtable);
	if (tls.cert->key_type == BR_KEYTYPE_EC)
		br_ssl_server_set_single_ec(
		    c, tls.cert->chain, tls.cert->count, &tls.cert->key.ec,
		    BR_KEYTYPE_SIGN, (unsigned)tls.cert->issuer_key_type,
		    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
	else
		br_ssl_server_set_single_rsa(c, tls.cert->chain, tls.cert->count,
					     &tls.cert->key.rsa, BR_KEYTYPE_SIGN,
					     br_rsa_private_get_default(),
					     br_rsa_pkcs1_sign_get_default());
	br_ssl_engine_set_buffers_bidi(&c->eng, e->input, sizeof e->input, e->output,
				       sizeof e->output);
	seed_engine(&c->eng, conn);
	br_ssl_server_reset(c);
	/* An alert that comes before a version is agreed on would bear none. */
	c->eng.version_out = BR_TLS12;
}

void
tls_close(uint32_t conn)
{
	struct engine *e = engine_of(conn);

	if (e == NULL)
		return;
	drop_cert(e);
	tls.states[conn] = CLOSED;
	tls.closed++;
}

bool
tls_sweep(void)
{
	uint32_t left = tls.closed, dropped = 0;

	for (uint32_t conn = 1; left > 0 && dropped < SWEPT; conn++) {
		uint8_t *state = &tls.states[conn];
		if (*state != CLOSED && *state != STALE)
			continue;
		left--;
		if (*state == STALE) {
			memory_drop(engine_at(conn), tls.stride);
			tls.closed--;
			dropped++;
		}
		*state = *state == CLOSED ? STALE : UNTOUCHED;
	}
	return tls.closed > 0;
}

/*
 * Sends what records there are, before others perhaps (MSG_MORE).  False if the socket
 * failed; what it did not take stays.
 */
static bool
push_records(struct engine *e, int fd, int more)
{
	br_ssl_engine_context *engine = &e->context.eng;

	while (br_ssl_engine_current_state(engine) & BR_SSL_SENDREC) {
		size_t length;
		const unsigned char *record = br_ssl_engine_sendrec_buf(engine, &length);
		ssize_t n = send(fd, record, length, MSG_NOSIGNAL | more);
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
		br_ssl_engine_sendrec_ack(engine, (size_t)n);
		e->moved = true;
	}
	return true;
}

/* Where the next bytes of a record go, and how many the engine wants. */
static unsigned char *
record_buffer(const struct engine *e, size_t *wanted)
{
	unsigned char *to = br_ssl_engine_recvrec_buf(&e->context.eng, wanted);

	*wanted -= e->held;
	return to + e->held;
}

/*
 * Gives the engine part of what it wants now, a record's header or its rest: how much.
 * During the handshake it gets a record only whole, for guard_cache looks ahead.
 */
static size_t
feed(struct engine *e, const unsigned char *data, size_t length)
{
	size_t wanted;
	unsigned char *to = record_buffer(e, &wanted);
	size_t n = length < wanted ? length : wanted;

	memcpy(to, data, n);
	e->large |= to + n > e->input + SMALL;
	e->held += n;
	if (n == wanted || e->established) {
		br_ssl_engine_recvrec_ack(&e->context.eng, e->held);
		e->held = 0;
	}
	return n;
}

/*
 * How much to receive.  While hands are shaken no more than the engine wants now, so that
 * the rest stays; later whatever has come, if there is `room` for all of its text and
 * that of a record begun before.
 */
static size_t
wanted_input(const struct engine *e, size_t room)
{
	size_t wanted;

	if (e->established && room >= RECORD + RECORDS)
		return RECORDS;
	record_buffer(e, &wanted);
	return wanted;
}

static ssize_t
pull_records(struct engine *e, int fd, unsigned char *data, size_t length)
{
	ssize_t n = recv(fd, data, length, 0);

	if (n > 0 && !e->begun && data[0] != HANDSHAKE_RECORD) {
		errno = EPROTO;
		return -1;
	}
	e->begun |= n > 0;
	return n;
}

/* The handshake is done as soon as the engine would take our bytes. */
static void
note_handshake(struct engine *e)
{
	if (e->established ||
	    (br_ssl_engine_current_state(&e->context.eng) & BR_SSL_SENDAPP) == 0)
		return;
	e->established = true;
	drop_cert(e);
	tls.counters.handshakes++;
	/* An earlier session's key needs no exchange, for which there would be a point.
	 */
	tls.counters.resumed += e->context.eng.ecdhe_point_len == 0;
}

/* Why an engine has closed: 0 for close_notify; else a failure, which is said once. */
static ssize_t
end_of(uint32_t conn, struct engine *e)
{
	int error = br_ssl_engine_last_error(&e->context.eng);
	struct text *t;

	if (error == BR_ERR_OK)
		return 0;
	if (!e->reported) {
		e->reported = true;
		tls.counters.failures++;
		if ((t = log_begin(LEVEL_DEBUG, client_name(conn))) != NULL) {
			text_string(t, "TLS failed: BearSSL error ");
			text_number(t, (uint64_t)error);
			log_end();
		}
	}
	errno = ECONNABORTED;
	return -1;
}

static size_t
take_plain(struct engine *e, unsigned char *data, size_t length)
{
	br_ssl_engine_context *engine = &e->context.eng;
	size_t available;
	const unsigned char *plain = br_ssl_engine_recvapp_buf(engine, &available);
	size_t n = available < length ? available : length;

	memcpy(data, plain, n);
	br_ssl_engine_recvapp_ack(engine, n);
	return n;
}

ssize_t
tls_read(uint32_t conn, int fd, void *data, size_t length)
{
	static unsigned char records[RECORDS];
	struct engine *e = engine_of(conn);
	unsigned char *to = data;
	size_t taken = 0, at = 0, received = 0;
	bool all = false; /* once all that has come is received, that is enough */

	if (e == NULL)
		return recv(fd, data, length, 0);
	/* Not without end: records may hold nothing, and others wait. */
	for (unsigned pulls = 0;;) {
		if (!push_records(e, fd, 0))
			return taken > 0 ? (ssize_t)taken : -1;
		note_handshake(e);
		unsigned state = br_ssl_engine_current_state(&e->context.eng);
		if (state == BR_SSL_CLOSED)
			return taken > 0 ? (ssize_t)taken : end_of(conn, e);
		if (taken == length)
			break;
		if (state & BR_SSL_RECVAPP) {
			taken += take_plain(e, to + taken, length - taken);
			continue;
		}
		if ((state & BR_SSL_RECVREC) == 0)
			break;
		if (at < received) {
			at += feed(e, records + at, received - at);
			continue;
		}
		/* A record more than there is room for would stay where poll() does
		 * not know of it. */
		if (all || ++pulls > PULLS || (taken > 0 && length - taken < RECORD))
			break;
		size_t most = wanted_input(e, length - taken);
		ssize_t n = pull_records(e, fd, records, most);
		if (n > 0) {
			at = 0;
			received = (size_t)n;
			all = most == RECORDS;
			continue;
		}
		if (taken > 0)
			return (ssize_t)taken;
		if (n == 0)
			errno = ECONNRESET; /* cut off: no close_notify */
		return -1;
	}
	/* It would answer something first, such as a renegotiation, but nobody reads. */
	if (at < received) {
		errno = ECONNABORTED;
		return -1;
	}
	if (taken > 0)
		return (ssize_t)taken;
	errno = EAGAIN;
	return -1;
}

ssize_t
tls_write(uint32_t conn, int fd, const void *data, size_t length)
{
	struct engine *e = engine_of(conn);
	const unsigned char *from = data;
	size_t taken = 0;

	if (e == NULL)
		return send(fd, data, length, MSG_NOSIGNAL);
	for (;;) {
		br_ssl_engine_context *engine = &e->context.eng;
		size_t room;
		if (br_ssl_engine_current_state(engine) == BR_SSL_CLOSED)
			return taken > 0 ? (ssize_t)taken : (errno = ECONNRESET, -1);
		if (!push_records(e, fd, taken < length ? MSG_MORE : 0))
			return taken > 0 ? (ssize_t)taken : -1;
		unsigned char *to = br_ssl_engine_sendapp_buf(engine, &room);
		if (taken == length || to == NULL ||
		    (br_ssl_engine_current_state(engine) & BR_SSL_SENDREC))
			break;
		size_t n = length - taken < room ? length - taken : room;
		memcpy(to, from + taken, n);
		br_ssl_engine_sendapp_ack(engine, n);
		taken += n;
		if (taken == length)
			br_ssl_engine_flush(engine, 0);
	}
	if (taken > 0 || length == 0)
		return (ssize_t)taken;
	errno = EAGAIN;
	return -1;
}

static bool
is_in(uint32_t conn, unsigned state)
{
	const struct engine *e = engine_of(conn);

	return e != NULL && (br_ssl_engine_current_state(&e->context.eng) & state) != 0;
}

bool
tls_over(uint32_t conn)
{
	const struct engine *e = engine_of(conn);

	return e != NULL && br_ssl_engine_current_state(&e->context.eng) == BR_SSL_CLOSED;
}

bool
tls_readable(uint32_t conn)
{
	return is_in(conn, BR_SSL_RECVAPP) || tls_over(conn);
}

bool
tls_takes_input(uint32_t conn)
{
	return engine_of(conn) == NULL || tls_readable(conn) ||
	       is_in(conn, BR_SSL_RECVREC);
}

bool
tls_moved(uint32_t conn)
{
	struct engine *e = engine_of(conn);
	bool moved = e != NULL && e->moved;

	if (moved)
		e->moved = false;
	return moved;
}

bool
tls_used(void)
{
	return tls.engines != NULL;
}

bool
tls_unsent(uint32_t conn)
{
	return is_in(conn, BR_SSL_SENDREC);
}

bool
tls_in_handshake(uint32_t conn)
{
	const struct engine *e = engine_of(conn);

	return e != NULL && !e->established;
}

void
tls_finish(uint32_t conn)
{
	struct engine *e = engine_of(conn);

	if (e != NULL)
		br_ssl_engine_close(&e->context.eng);
}

void
tls_rest(uint32_t conn)
{
	struct engine *e = engine_of(conn);
	size_t wanted;

	if (e == NULL || !e->large)
		return;
	br_ssl_engine_context *engine = &e->context.eng;
	/* Only between two records is there nothing in it. */
	if ((br_ssl_engine_current_state(engine) & (BR_SSL_RECVREC | BR_SSL_RECVAPP)) !=
		BR_SSL_RECVREC ||
	    br_ssl_engine_recvrec_buf(engine, &wanted) == NULL || wanted != RECORD_HEADER)
		return;
	e->large = false;
	memory_drop(e->input + SMALL, sizeof e->input - SMALL);
}

bool
tls_names_host(struct span name)
{
	return tls.cert != NULL && cert_has_name(tls.cert, name);
}
