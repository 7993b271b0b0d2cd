#include "suites.h"

#include "guard.h"

#include <stdbool.h>
#include <stdint.h>

static struct {
	const br_block_ctr_class *aes; /* the fastest that the processor has */
	br_ghash ghash;
	bool has_aes; /* instructions */
} suites;

/* Asks for the processor's instructions once: in virtual machines CPUID takes 10 us. */
void
suites_start(void)
{
	br_ssl_engine_context engine;

	suites.has_aes =
	    br_aes_x86ni_ctr_get_vtable() != NULL || br_aes_pwr8_ctr_get_vtable() != NULL;
	br_ssl_engine_set_default_aes_gcm(&engine);
	suites.aes = engine.iaes_ctr;
	suites.ghash = engine.ighash;
}

/*
 * Only the suites of the certificate's kind of key, because BearSSL compares each suite
 * of the client with each of these.  Without AES instructions, ChaCha20 costs a sixth of
 * AES.
 */
static void
offer_suites(br_ssl_engine_context *engine, int key_type)
{
	enum { SUITES = 3 };
	static const uint16_t lists[2][2][SUITES] = {
		{ /* RSA */
		  { BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		    BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 },
		  { BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		    BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		    BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 } },
		{ /* ECDSA */
		  { BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		    BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 },
		  { BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		    BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		    BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 } },
	};

	_Static_assert(SUITES <= BR_MAX_CIPHER_SUITES, "BearSSL has room for them");
	br_ssl_engine_set_suites(engine, lists[key_type == BR_KEYTYPE_EC][suites.has_aes],
				 SUITES);
}

/*
 * BearSSL's defaults select an implementation at run time, which links all of them.  The
 * ones below are selected at compile time.
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

void
suites_set(br_ssl_engine_context *engine, int key_type)
{
	offer_suites(engine, key_type);
	br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
	br_ssl_engine_set_ec(engine, &guard_ec);
	br_ssl_engine_set_gcm(engine, &br_sslrec_in_gcm_vtable,
			      &br_sslrec_out_gcm_vtable);
	br_ssl_engine_set_aes_ctr(engine, suites.aes);
	br_ssl_engine_set_ghash(engine, suites.ghash);
	set_chacha(engine);
}
