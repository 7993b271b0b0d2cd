/*
 * The whole server with TLS, on the network and the clock of network.c.  Its two clients
 * use BearSSL: each completes a handshake and requests PREFIX, beginning with the first
 * step that names it.  The first resumes a session that the server holds since its start,
 * the second has no session.  The input is a list of steps of two bytes: the first
 * selects the client and the step, the second is a number N.
 *
 *     PASS       the client's next record is sent
 *     FLIP       ... with one bit flipped, which N selects
 *     CUT        ... without its last N bytes
 *     TWICE      ... two times
 *     DROP       ... not at all
 *     JUNK       N bytes of the input are sent instead of it
 *     PIECES     the server's next calls move at most N bytes
 *     WINDOW     the client reads N * 8 bytes, then no more
 *     TIME       N tenths of a second pass
 *     FIN, RST   the client ends its output, or aborts
 *     HELLO      a ClientHello is sent whose extensions are N bytes of the input
 *     SESSION    the same, with the ID of the session
 *
 * At the end all remaining records are sent.  A client with no
 * steps but PASS and PIECES must get its response; one whose record was changed must not.
 * When the clients have gone, the server holds nothing of them, and (after one input in
 * four) serves the next.
 *
 * Keys and signatures are toys (--wrap), because real ones take most of the time.  The
 * server checks points before it multiplies them, so the toy gets only points of the
 * right length.
 */
#include "fuzz.h"
#include "network.h"

int videre_main(int argc, char **argv);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define main videre_main
#include "../../videre.c"
#undef main

/* The variables of this file are not part of the server's state. */
#pragma clang section bss = "" data = ""

enum { CLIENTS = 2, STEPS = 200, RECORD = 16384 + 512 };

enum step {
	PASS,
	FLIP,
	CUT,
	TWICE,
	DROP,
	JUNK,
	PIECES,
	WINDOW,
	TIME,
	FIN,
	RST,
	HELLO,
	SESSION,
	STEP_KINDS
};

struct client {
	unsigned socket;
	bool asked, answered, disturbed, changed;
	br_ssl_client_context tls;
	br_x509_knownkey_context key;
	unsigned char buffer[BR_SSL_BUFSIZE_BIDI];
};

static const unsigned char secret[32] = "any number below the order of P";
static unsigned char certificate[64]; /* no client checks it */
static unsigned char public_point[BR_EC_KBUF_PUB_MAX_SIZE];
static br_ec_public_key public_key;
static struct client clients[CLIENTS];
static br_ssl_session_parameters session;
static const char greeting[] = "Welcome to SockJS!\n";

/*
 * Toys: a point's secret is an odd number, and multiplying points multiplies numbers
 * modulo 2^64, so that both sides agree.  Any signature is valid.
 */

const br_ec_impl *__wrap_br_ec_get_default(void);
br_ecdsa_sign __wrap_br_ecdsa_sign_asn1_get_default(void);

static uint64_t
toy_number(const unsigned char *data, size_t length)
{
	uint64_t number = 0;

	for (size_t i = length < 8 ? 0 : length - 8; i < length; i++)
		number = number << 8 | data[i];
	return number | 1;
}

static void
toy_put(unsigned char *point, size_t length, uint64_t number)
{
	memset(point, 0, length);
	*point = length == 32 ? 0 : 4;
	/* At both ends: of the whole point, and of its x coordinate. */
	for (size_t i = 0; i < 8; i++)
		point[length - 1 - i] = point[8 - i] = (unsigned char)(number >> 8 * i);
}

static uint32_t
toy_mul(unsigned char *point, size_t length, const unsigned char *factor,
	size_t factor_length, int curve)
{
	size_t right;

	br_ec_all_m31.generator(curve, &right);
	CHECK(length == right && (right == 32 || *point == 4));
	toy_put(point, length,
		toy_number(point, length) * toy_number(factor, factor_length));
	return 1;
}

static size_t
toy_mulgen(unsigned char *point, const unsigned char *factor, size_t length, int curve)
{
	size_t right;

	br_ec_all_m31.generator(curve, &right);
	toy_put(point, right, toy_number(factor, length));
	return right;
}

static size_t
toy_sign(const br_ec_impl *ec, const br_hash_class *hash, const void *value,
	 const br_ec_private_key *key, void *signature)
{
	(void)ec;
	(void)hash;
	(void)value;
	(void)key;
	memset(signature, 0x30, 70);
	return 70;
}

static uint32_t
toy_verify(const br_ec_impl *ec, const void *hash, size_t hash_length,
	   const br_ec_public_key *key, const void *signature, size_t length)
{
	(void)ec;
	(void)hash;
	(void)hash_length;
	(void)key;
	(void)signature;
	return length == 70;
}

const br_ec_impl *
__wrap_br_ec_get_default(void)
{
	static br_ec_impl toy;

	toy = br_ec_all_m31;
	toy.mul = toy_mul;
	toy.mulgen = toy_mulgen;
	return &toy;
}

br_ecdsa_sign
__wrap_br_ecdsa_sign_asn1_get_default(void)
{
	return toy_sign;
}

static void make_session(void);

/* The certificate in use, and an empty one. */
static struct cert certs[2];

/* What main does, except options, files and signals. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	conf_default(&conf);
	conf.log = "/dev/null";
	conf.log_level = LEVEL_TRACE;
	conf.max_connections = CLIENTS;
	conf.max_packet = 300;
	conf.heartbeat = 3;
	conf.handshake_timeout = 4;
	/* Loads no files, because TLS is still off. */
	CHECK(renewal_load(&conf, NULL) && secrets_load(&conf, NULL));
	conf.tls = true;
	certs[0].chain[0] = (br_x509_certificate){ certificate, sizeof certificate };
	certs[0].count = 1;
	certs[0].key_type = certs[0].issuer_key_type = BR_KEYTYPE_EC;
	certs[0].key.ec =
	    (br_ec_private_key){ BR_EC_secp256r1, (unsigned char *)(uintptr_t)secret,
				 sizeof secret };
	CHECK(br_ec_compute_pub(br_ec_get_default(), &public_key, public_point,
				&certs[0].key.ec) > 0);
	network_reset();
	log_open(conf.log, (enum log_level)conf.log_level, 0);
	map_memory();
	tls_renew(&certs[0]);
	open_sockets();
	log_flush();
	make_session();
	memory_remember();
	return 0;
}

static void
run(uint32_t milliseconds)
{
	CHECK(network_run(&web_conn_handler, on_wakeup, milliseconds) != NETWORK_STOPPED);
}

static void
start_client(struct client *c, bool resumes)
{
	static const uint8_t address[4] = { 127, 0, 0, 1 };
	static const char *protocols[] = { "http/1.1" };
	static const uint16_t suites[] = {
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	};
	br_ssl_engine_context *engine = &c->tls.eng;

	*c = (struct client){ .socket = network_connect(address, sizeof address) };
	CHECK(c->socket != 0);
	br_ssl_client_zero(&c->tls);
	br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
	/* Few suites, curves and hashes: each takes time. */
	br_ssl_engine_set_suites(engine, suites, 1);
	br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
	br_ssl_engine_set_default_chapol(engine);
	br_x509_knownkey_init_ec(&c->key, &public_key, BR_KEYTYPE_SIGN);
	br_ssl_engine_set_x509(engine, &c->key.vtable);
	br_ssl_engine_set_buffer(engine, c->buffer, sizeof c->buffer, 1);
	br_ssl_engine_inject_entropy(engine, secret, sizeof secret);
	engine->rng_os_rand_done = 1;
	br_ssl_engine_set_ec(engine, __wrap_br_ec_get_default());
	br_ssl_engine_set_ecdsa(engine, toy_verify);
	if (resumes) {
		br_ssl_engine_set_protocol_names(engine, protocols, 1);
		br_ssl_engine_set_session_parameters(engine, &session);
	}
	CHECK(br_ssl_client_reset(&c->tls, NULL, resumes));
}

/* Reads all input, and sends the request as soon as the handshake allows. */
static void
think(struct client *c)
{
	static const char question[] = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";
	br_ssl_engine_context *engine = &c->tls.eng;
	size_t room, length;
	unsigned char *data;

	for (;;) {
		struct span in = network_received(c->socket);
		if ((data = br_ssl_engine_recvapp_buf(engine, &length)) != NULL) {
			c->answered |=
			    memmem(data, length, greeting, sizeof greeting - 1) != NULL;
			br_ssl_engine_recvapp_ack(engine, length);
		} else if (in.length > 0 &&
			   (data = br_ssl_engine_recvrec_buf(engine, &room)) != NULL) {
			length = in.length < room ? in.length : room;
			memcpy(data, in.data, length);
			br_ssl_engine_recvrec_ack(engine, length);
			network_used(c->socket, length);
		} else if (!c->asked &&
			   (data = br_ssl_engine_sendapp_buf(engine, &room)) != NULL) {
			c->asked = true;
			memcpy(data, question, sizeof question - 1);
			br_ssl_engine_sendapp_ack(engine, sizeof question - 1);
			br_ssl_engine_flush(engine, 0);
		} else {
			return;
		}
	}
}

/* Takes the client's next record.  Returns its length, 0 if there is none. */
static size_t
take_record(struct client *c, unsigned char record[RECORD])
{
	size_t length, whole;
	const unsigned char *data = br_ssl_engine_sendrec_buf(&c->tls.eng, &length);

	if (data == NULL)
		return 0;
	whole = 5 + ((size_t)data[3] << 8 | data[4]);
	CHECK(whole <= length && whole <= RECORD);
	memcpy(record, data, whole);
	br_ssl_engine_sendrec_ack(&c->tls.eng, whole);
	return whole;
}

static void
send_record(struct client *c, enum step step, unsigned number, const uint8_t **data,
	    size_t *left)
{
	unsigned char record[RECORD];
	size_t length = take_record(c, record), cut = number < length ? number : length;

	if (length == 0)
		return;
	switch (step) {
	case FLIP: {
		size_t bit = number * 37 % (8 * length);
		record[bit / 8] ^= (unsigned char)(1U << bit % 8);
		/* A changed alert (type 21) does not prevent the response. */
		c->changed |= bit >= 8 * 5 && *record != 21;
		break;
	}
	case CUT: length -= cut; break;
	case TWICE: network_send(c->socket, record, length); break;
	case DROP: length = 0; break;
	case JUNK:
		length = number < *left ? number : *left;
		memcpy(record, *data, length);
		*data += length;
		*left -= length;
		break;
	default: break;
	}
	c->disturbed |= step != PASS;
	network_send(c->socket, record, length);
}

/* A ClientHello whose extensions are the next `length` bytes of the input. */
static void
send_hello(struct client *c, bool resumes, size_t length, const uint8_t **data,
	   size_t *left)
{
	char bytes[512];
	struct text t;
	size_t id = resumes ? session.session_id_len : 0;

	length = length < *left ? length : *left;
	size_t body = 2 + 32 + 1 + id + 4 + 2 + 2 + length;
	text_init(&t, bytes, sizeof bytes);
	text_put(&t, "\x16\3\1\0", 4);
	text_char(&t, 0);
	t.data[3] = (char)((body + 4) >> 8);
	t.data[4] = (char)(body + 4);
	text_put(&t, "\1\0", 2);
	text_char(&t, (char)(body >> 8));
	text_char(&t, (char)body);
	text_put(&t, "\3\3", 2);
	text_put(&t, (const char *)secret, 32);
	text_char(&t, (char)id);
	text_put(&t, (const char *)session.session_id, id);
	text_put(&t, "\0\2", 2);
	text_char(&t, (char)(session.cipher_suite >> 8));
	text_char(&t, (char)session.cipher_suite);
	text_put(&t, "\1\0", 2);
	text_char(&t, (char)(length >> 8));
	text_char(&t, (char)length);
	text_put(&t, (const char *)*data, length);
	CHECK(!t.overflow && t.length == 5 + 4 + body);
	*data += length;
	*left -= length;
	c->disturbed = true;
	c->changed |= !c->asked;
	network_send(c->socket, t.data, t.length);
}

static void
take_step(struct client *c, enum step step, unsigned number, const uint8_t **data,
	  size_t *left)
{
	uint32_t time = step == TIME ? number * 100 : 0;

	switch (step) {
	case PIECES: network_piece(c->socket, number | 1); break;
	case WINDOW: network_window(c->socket, number * 8); break;
	case FIN: network_finish(c->socket); break;
	case RST: network_abort(c->socket); break;
	case TIME: break;
	case HELLO:
	case SESSION: send_hello(c, step == SESSION, number, data, left); break;
	default: send_record(c, step, number, data, left);
	}
	if (step >= WINDOW && step < HELLO)
		for (unsigned i = 0; i < CLIENTS; i++)
			clients[i].disturbed |= step == TIME || c == &clients[i];
	run(time);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].socket != 0)
			think(&clients[i]);
}

enum { PACE = 10 }; /* milliseconds within which a step of a handshake is made */

/* Sends all remaining records of the client. */
static void
pass_rest(struct client *c)
{
	unsigned char record[RECORD];
	size_t length;

	network_window(c->socket, SIZE_MAX);
	run(PACE);
	think(c);
	while ((length = take_record(c, record)) > 0) {
		network_send(c->socket, record, length);
		run(PACE);
		think(c);
	}
}

static void
check_client(struct client *c)
{
	pass_rest(c);
	CHECK(c->answered || c->disturbed);
	CHECK(!c->answered || !c->changed);
}

/*
 * All clients abort.  The server holds nothing of them, not even a handshake that keeps a
 * certificate in use.
 */
static void
check_left(void)
{
	for (unsigned i = 1; i <= network_count(); i++)
		network_abort(i);
	run(10);
	CHECK(conn_count()->open == 0 && block_taken() == 0 &&
	      session_count()->open == 0);
	tls_renew(&certs[1]);
	CHECK(tls_may_renew());
	tls_renew(&certs[0]);
}

/* Makes the session that the server holds since its start. */
static void
make_session(void)
{
	start_client(&clients[0], false);
	check_client(&clients[0]);
	br_ssl_engine_get_session_parameters(&clients[0].tls.eng, &session);
	CHECK(session.session_id_len == 32);
	check_left();
	network_remember();
	network_reset();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	bool another = length % 4 == 0; /* it takes half of the time */

	memory_reset();
	network_reset();
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i].socket = 0;
	for (unsigned steps = 0; steps < STEPS && length > 0; steps++) {
		unsigned first = fuzz_first(&data, &length);
		unsigned second = fuzz_first(&data, &length);
		if (clients[first % CLIENTS].socket == 0)
			start_client(&clients[first % CLIENTS], first % CLIENTS == 0);
		take_step(&clients[first % CLIENTS],
			  (enum step)(first / CLIENTS % STEP_KINDS), second, &data,
			  &length);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].socket != 0)
			check_client(&clients[i]);
	check_left();
	if (!another)
		return 0;
	start_client(&clients[0], true);
	check_client(&clients[0]);
	CHECK(memcmp(clients[0].tls.eng.session.session_id, session.session_id,
		     session.session_id_len) == 0);
	check_left();
	return 0;
}
