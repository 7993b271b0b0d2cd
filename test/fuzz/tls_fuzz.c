/*
 * The whole server with TLS, on a network and with a clock of network.c's.  Its clients
 * are BearSSL's and do as they should: each shakes hands and asks for PREFIX.  The input
 * is what happens on the way to what they send: two bytes each time, the first says for
 * which of them and what:
 *
 *     PASS     the next record gets through;  FIN, RST: none any more
 *     FLIP     so does the next one, with a bit of it flipped: which, says the second
 * byte CUT      with so many bytes fewer;  TWICE: two times;  DROP: not at all JUNK as
 * many bytes of the input come instead of it PIECES   the next system calls move at most
 * so many bytes;  WINDOW: it reads so many TIME     so many tenths of a second pass
 *
 * In the end all that is left gets through.  What must hold: a client with whom nothing
 * was done is answered, one whose record was changed is not, and when they have gone,
 * there is nothing left of them and the next one is served.
 */
#include "fuzz.h"
#include "network.h"

int videre_main(int argc, char **argv);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define main videre_main
#include "../../videre.c"
#undef main

/* Ours are not of the server's state. */
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
static unsigned char certificate[64]; /* nobody reads it */
static unsigned char point[BR_EC_KBUF_PUB_MAX_SIZE];
static br_ec_public_key public_key;
static struct client clients[CLIENTS];
static const char greeting[] = "Welcome to SockJS!\n";

/* As main does, but for options, files and signals. */
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
	conf.tls = true;
	certs[0].chain[0] = (br_x509_certificate){ certificate, sizeof certificate };
	certs[0].count = 1;
	certs[0].key_type = certs[0].issuer_key_type = BR_KEYTYPE_EC;
	certs[0].key.ec =
	    (br_ec_private_key){ BR_EC_secp256r1, (unsigned char *)(uintptr_t)secret,
				 sizeof secret };
	CHECK(br_ec_compute_pub(br_ec_get_default(), &public_key, point,
				&certs[0].key.ec) > 0);
	network_reset();
	log_open(conf.log, (enum log_level)conf.log_level, 0);
	map_memory();
	open_sockets();
	log_flush();
	memory_remember();
	return 0;
}

static void
run(uint32_t milliseconds)
{
	CHECK(network_run(&web_conn_handler, woken, milliseconds) != NETWORK_STOPPED);
}

static void
start_client(struct client *c)
{
	static const uint8_t address[4] = { 127, 0, 0, 1 };
	br_ssl_engine_context *engine = &c->tls.eng;

	*c = (struct client){ .socket = network_connect(address, sizeof address) };
	CHECK(c->socket != 0);
	br_ssl_client_init_full(&c->tls, &(br_x509_minimal_context){ 0 }, NULL, 0);
	br_x509_knownkey_init_ec(&c->key, &public_key, BR_KEYTYPE_SIGN);
	br_ssl_engine_set_x509(engine, &c->key.vtable);
	br_ssl_engine_set_buffer(engine, c->buffer, sizeof c->buffer, 1);
	br_ssl_engine_inject_entropy(engine, secret, sizeof secret);
	engine->rng_os_rand_done = 1;
	CHECK(br_ssl_client_reset(&c->tls, NULL, 0));
}

/* It reads what has come, and asks as soon as it may. */
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

/* Its next record, if it has anything to say. */
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
		/* An alert is no part of what is answered, and may go wrong. */
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
	default: send_record(c, step, number, data, left);
	}
	if (step >= WINDOW)
		for (unsigned i = 0; i < CLIENTS; i++)
			clients[i].disturbed |= step == TIME || c == &clients[i];
	run(time);
	for (unsigned i = 0; i < CLIENTS; i++)
		think(&clients[i]);
}

/* All that it has still to say gets through. */
static void
pass_rest(struct client *c)
{
	unsigned char record[RECORD];
	size_t length;

	network_window(c->socket, SIZE_MAX);
	run(0);
	think(c);
	while ((length = take_record(c, record)) > 0) {
		network_send(c->socket, record, length);
		run(0);
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

/* All go; nothing is left of them, not even a handshake that keeps a certificate. */
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	memory_reset();
	network_reset();
	for (unsigned i = 0; i < CLIENTS; i++)
		start_client(&clients[i]);
	for (unsigned steps = 0; steps < STEPS && length > 0; steps++) {
		unsigned first = fuzz_first(&data, &length);
		unsigned second = fuzz_first(&data, &length);
		take_step(&clients[first % CLIENTS],
			  (enum step)(first / CLIENTS % STEP_KINDS), second, &data,
			  &length);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		check_client(&clients[i]);
	check_left();
	start_client(&clients[0]);
	check_client(&clients[0]);
	check_left();
	return 0;
}
