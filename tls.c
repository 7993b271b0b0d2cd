#include "tls.h"

#include "client.h"
#include "entropy.h"
#include "guard.h"
#include "log.h"
#include "socket.h"
#include "suites.h"

#include <bearssl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	/* Bytes of an output buffer: 4096 of plaintext, and BearSSL's 85 for a record.
	 * Enough for a turn's small packets, or for a short certificate chain. */
	OUTPUT_SIZE = 4096 + 85,
	CACHE_SIZE = 16384,  /* bytes, some 100 for each session that can be resumed */
	KEPT_SIZE = 3584,    /* bytes that tls_release_buffer keeps: the first page */
	RECORD_SIZE = 16384, /* bytes of plaintext in the largest record */
	RECORD_HEADER_SIZE = 5,
	RECEIVE_SIZE = BR_SSL_BUFSIZE_INPUT, /* bytes in one recv */
	MAX_RECEIVES = 64,     /* in one tls_read; a handshake record takes two */
	HANDSHAKE_RECORD = 22, /* content type, the first byte of every TLS client */
	/* The random generator is reseeded by a connection at these intervals. */
	RESEED_CONNECTIONS = 1000,
	RESEED_S = 3600,
	SWEPT_ENGINES = 500 /* engines whose memory one sweep returns, at most */
};

enum state {
	UNBACKED, /* no connection uses the engine, and it has no memory */
	IN_USE,
	RECENTLY_USED, /* a connection has closed since the last sweep */
	UNUSED /* no connection since the last sweep: the next one returns its memory */
};

struct engine {
	br_ssl_server_context context;
	const struct cert *cert; /* of the handshake; NULL after it */
	bool has_input;		 /* the first byte has been received */
	bool established;	 /* the handshake is complete */
	bool failure_counted;
	bool input_is_large; /* a record has reached past KEPT_SIZE of `input` */
	bool has_sent;	     /* since the last tls_progressed */
	size_t withheld;     /* bytes in `input` that the engine does not know of yet */
	unsigned char output[OUTPUT_SIZE];
	unsigned char input[BR_SSL_BUFSIZE_INPUT];
};

static struct {
	unsigned char *engines; /* by connection; NULL: TLS is not in use */
	size_t stride;		/* bytes from one engine to the next */
	uint8_t *states;	/* of the engines: enum state */
	uint32_t count;	  /* of the engines, including number 0, which is not used */
	uint32_t unswept; /* engines that are RECENTLY_USED or UNUSED */
	const struct cert *cert;
	br_hmac_drbg_context random;
	uint64_t opened;      /* connections since the start */
	uint64_t next_reseed; /* a value of `opened` */
	time_t reseed_at;     /* monotonic seconds */
	struct guard_cache cache;
	unsigned char *sessions; /* the memory of `cache` */
	uint32_t handshakes;	 /* in progress */
	uint32_t outdated; /* of `handshakes`: those with the previous certificate */
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
	tls.sessions = memory_take(m, 1, CACHE_SIZE);
}

void
tls_start(const struct cert *cert, const uint8_t seed[TLS_SEED])
{
	struct timespec now;

	br_hmac_drbg_init(&tls.random, &br_sha256_vtable, seed, TLS_SEED);
	clock_gettime(CLOCK_MONOTONIC, &now);
	tls.next_reseed = RESEED_CONNECTIONS;
	tls.reseed_at = now.tv_sec + RESEED_S;
	guard_cache_init(&tls.cache, tls.sessions, CACHE_SIZE);
	suites_start();
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

/* Returns NULL for a plain socket. */
static struct engine *
engine_of(uint32_t conn)
{
	return tls.engines != NULL && tls.states[conn] == IN_USE ? engine_at(conn) : NULL;
}

/* Called when a handshake has completed or ended: it no longer uses its certificate. */
static void
release_cert(struct engine *e)
{
	if (e->cert == NULL)
		return;
	tls.handshakes--;
	tls.outdated -= e->cert != tls.cert;
	e->cert = NULL;
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
 * Seeds an engine from the server's own generator: the system's generator may need a file
 * descriptor, and none may be left.  Times and numbers make the seed unique, even if the
 * kernel returned the same random bytes at an earlier start.
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
	tls.unswept -= tls.states[conn] != UNBACKED;
	tls.states[conn] = IN_USE;
	br_ssl_server_context *c = &e->context;
	e->cert = tls.cert;
	tls.handshakes++;
	e->has_input = e->established = e->failure_counted = e->input_is_large =
	    e->has_sent = false;
	e->withheld = 0;
	br_ssl_server_zero(c);
	br_ssl_engine_set_versions(&c->eng, BR_TLS12, BR_TLS12);
	suites_set(&c->eng, tls.cert->key_type);
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
	/* The version in an alert that is sent before a version is negotiated. */
	c->eng.version_out = BR_TLS12;
}

void
tls_close(uint32_t conn)
{
	struct engine *e = engine_of(conn);

	if (e == NULL)
		return;
	release_cert(e);
	tls.states[conn] = RECENTLY_USED;
	tls.unswept++;
}

bool
tls_sweep(void)
{
	uint32_t left = tls.unswept, dropped = 0;

	for (uint32_t conn = 1; left > 0 && dropped < SWEPT_ENGINES; conn++) {
		uint8_t *state = &tls.states[conn];
		if (*state != RECENTLY_USED && *state != UNUSED)
			continue;
		left--;
		if (*state == UNUSED) {
			memory_drop(engine_at(conn), tls.stride);
			tls.unswept--;
			dropped++;
		}
		*state = *state == RECENTLY_USED ? UNUSED : UNBACKED;
	}
	return tls.unswept > 0;
}

/*
 * Sends the engine's records; `more` is 0 or MSG_MORE.  Returns false if the socket
 * failed.  Records that the socket does not take stay in the engine.
 */
static bool
send_records(struct engine *e, int fd, int more)
{
	br_ssl_engine_context *engine = &e->context.eng;

	while (br_ssl_engine_current_state(engine) & BR_SSL_SENDREC) {
		size_t length;
		const unsigned char *record = br_ssl_engine_sendrec_buf(engine, &length);
		ssize_t n = send(fd, record, length, MSG_NOSIGNAL | more);
		if (n < 0)
			return socket_would_wait();
		br_ssl_engine_sendrec_ack(engine, (size_t)n);
		e->has_sent = true;
	}
	return true;
}

/* Returns where the next bytes of a record go, and how many the engine wants. */
static unsigned char *
record_buffer(const struct engine *e, size_t *wanted)
{
	unsigned char *to = br_ssl_engine_recvrec_buf(&e->context.eng, wanted);

	*wanted -= e->withheld;
	return to + e->withheld;
}

/*
 * Copies bytes into the engine, up to the end of the record's header or of its body.
 * Returns the number of bytes.  During the handshake the engine learns of a part only
 * when it is complete, because guard_cache reads ahead in it.
 */
static size_t
pass_record_bytes(struct engine *e, const unsigned char *data, size_t length)
{
	size_t wanted;
	unsigned char *to = record_buffer(e, &wanted);
	size_t n = length < wanted ? length : wanted;

	memcpy(to, data, n);
	e->input_is_large |= to + n > e->input + KEPT_SIZE;
	e->withheld += n;
	if (n == wanted || e->established) {
		br_ssl_engine_recvrec_ack(&e->context.eng, e->withheld);
		e->withheld = 0;
	}
	return n;
}

/*
 * Returns how many bytes to receive.  During the handshake, and if the plaintext may not
 * fit into `room` bytes, that is the rest of the current record's header or body: further
 * records stay in the socket.
 */
static size_t
receive_length(const struct engine *e, size_t room)
{
	size_t wanted;

	if (e->established && room >= RECORD_SIZE + RECEIVE_SIZE)
		return RECEIVE_SIZE;
	record_buffer(e, &wanted);
	return wanted;
}

/* The handshake is complete as soon as the engine accepts plaintext. */
static void
check_established(struct engine *e)
{
	if (e->established ||
	    (br_ssl_engine_current_state(&e->context.eng) & BR_SSL_SENDAPP) == 0)
		return;
	e->established = true;
	release_cert(e);
	tls.counters.handshakes++;
	/* A resumed session has no key exchange, and so no point. */
	tls.counters.resumed += e->context.eng.ecdhe_point_len == 0;
}

/* Returns 0 after close_notify; otherwise fails, and counts and logs the failure once. */
static ssize_t
read_end(uint32_t conn, struct engine *e)
{
	int error = br_ssl_engine_last_error(&e->context.eng);
	struct text *t;

	if (error == BR_ERR_OK)
		return 0;
	if (!e->failure_counted) {
		e->failure_counted = true;
		tls.counters.failures[tls_error_index(error)]++;
		if ((t = log_begin(LEVEL_INFO, client_name(conn))) != NULL) {
			text_string(t, "TLS failed: ");
			tls_error_put(t, error);
			log_end();
		}
	}
	errno = ECONNABORTED;
	return -1;
}

static size_t
read_plaintext(struct engine *e, unsigned char *data, size_t length)
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
	static unsigned char records[RECEIVE_SIZE];
	struct engine *e = engine_of(conn);
	unsigned char *to = data;
	size_t taken = 0, at = 0, received = 0;
	bool last_receive = false; /* the last recv of this call has been made */

	if (e == NULL)
		return recv(fd, data, length, 0);
	/* MAX_RECEIVES limits the time, because records can be empty. */
	for (unsigned receives = 0;;) {
		if (!send_records(e, fd, 0))
			return taken > 0 ? (ssize_t)taken : -1;
		check_established(e);
		unsigned state = br_ssl_engine_current_state(&e->context.eng);
		if (state == BR_SSL_CLOSED)
			return taken > 0 ? (ssize_t)taken : read_end(conn, e);
		if (taken == length)
			break;
		if (state & BR_SSL_RECVAPP) {
			taken += read_plaintext(e, to + taken, length - taken);
			continue;
		}
		if ((state & BR_SSL_RECVREC) == 0)
			break;
		if (at < received) {
			at += pass_record_bytes(e, records + at, received - at);
			continue;
		}
		/* A record that does not fit into `data` would stay in the engine, and
		 * poll() would not report it. */
		if (last_receive || ++receives > MAX_RECEIVES ||
		    (taken > 0 && length - taken < RECORD_SIZE))
			break;
		size_t wanted = receive_length(e, length - taken);
		ssize_t n = recv(fd, records, wanted, 0);
		if (n > 0 && !e->has_input && *records != HANDSHAKE_RECORD) {
			tls_close(conn);
			memcpy(data, records, (size_t)n);
			return n;
		}
		if (n > 0) {
			e->has_input = true;
			at = 0;
			received = (size_t)n;
			last_receive = wanted == RECEIVE_SIZE;
			continue;
		}
		if (taken > 0)
			return (ssize_t)taken;
		if (n == 0)
			errno = ECONNRESET; /* no close_notify */
		return -1;
	}
	/* The engine must first send, for example its answer to a renegotiation, but
	 * the client does not read. */
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
		return socket_write(fd, (struct span){ data, length },
				    (struct span){ 0 });
	for (;;) {
		br_ssl_engine_context *engine = &e->context.eng;
		size_t room;
		if (br_ssl_engine_current_state(engine) == BR_SSL_CLOSED)
			return taken > 0 ? (ssize_t)taken : (errno = ECONNRESET, -1);
		if (!send_records(e, fd, taken < length ? MSG_MORE : 0))
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
has_state(uint32_t conn, unsigned state)
{
	const struct engine *e = engine_of(conn);

	return e != NULL && (br_ssl_engine_current_state(&e->context.eng) & state) != 0;
}

bool
tls_has_ended(uint32_t conn)
{
	return has_state(conn, BR_SSL_CLOSED);
}

bool
tls_readable(uint32_t conn)
{
	return has_state(conn, BR_SSL_RECVAPP) || tls_has_ended(conn);
}

bool
tls_takes_input(uint32_t conn)
{
	return engine_of(conn) == NULL || tls_readable(conn) ||
	       has_state(conn, BR_SSL_RECVREC);
}

bool
tls_progressed(uint32_t conn)
{
	struct engine *e = engine_of(conn);
	bool has_sent = e != NULL && e->has_sent;

	if (has_sent)
		e->has_sent = false;
	return has_sent;
}

bool
tls_is_plain(uint32_t conn)
{
	return tls.engines != NULL && tls.states[conn] != IN_USE;
}

bool
tls_enabled(void)
{
	return tls.engines != NULL;
}

bool
tls_unsent(uint32_t conn)
{
	return has_state(conn, BR_SSL_SENDREC);
}

bool
tls_in_handshake(uint32_t conn)
{
	const struct engine *e = engine_of(conn);

	return e != NULL && !e->established;
}

bool
tls_has_begun(uint32_t conn)
{
	const struct engine *e = engine_of(conn);

	return e == NULL || e->has_input;
}

void
tls_finish(uint32_t conn)
{
	struct engine *e = engine_of(conn);

	if (e != NULL)
		br_ssl_engine_close(&e->context.eng);
}

void
tls_release_buffer(uint32_t conn)
{
	struct engine *e = engine_of(conn);
	size_t wanted;

	if (e == NULL || !e->input_is_large)
		return;
	br_ssl_engine_context *engine = &e->context.eng;
	/* `input` is empty only between two records. */
	if ((br_ssl_engine_current_state(engine) & (BR_SSL_RECVREC | BR_SSL_RECVAPP)) !=
		BR_SSL_RECVREC ||
	    br_ssl_engine_recvrec_buf(engine, &wanted) == NULL ||
	    wanted != RECORD_HEADER_SIZE)
		return;
	e->input_is_large = false;
	memory_drop(e->input + KEPT_SIZE, sizeof e->input - KEPT_SIZE);
}

bool
tls_names_host(struct span name)
{
	return tls.cert != NULL && cert_has_name(tls.cert, name);
}

bool
tls_authority(struct span *der)
{
	if (tls.cert == NULL)
		return false;
	*der = tls.cert->authority;
	return der->data != NULL;
}
