/*
 * Certificates and keys, in one file.  An input with "-----" is the PEM file.  Any other
 * becomes one: a byte for the key's label, two bytes for the certificate's length, the
 * certificate's DER, and the key's.
 */
#include "fuzz.h"
#include "cert.h"

static void
put_base64(struct text *t, const uint8_t *data, size_t length)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < length; i += 3) {
		uint32_t group = (uint32_t)data[i] << 16;
		if (i + 1 < length)
			group |= (uint32_t)data[i + 1] << 8;
		if (i + 2 < length)
			group |= data[i + 2];
		text_char(t, digits[group >> 18]);
		text_char(t, digits[group >> 12 & 63]);
		text_char(t, i + 1 < length ? digits[group >> 6 & 63] : '=');
		text_char(t, i + 2 < length ? digits[group & 63] : '=');
		if (i % 48 == 45)
			text_char(t, '\n');
	}
}

static void
put_block(struct text *t, const char *label, const uint8_t *data, size_t length)
{
	text_string(t, "-----BEGIN ");
	text_string(t, label);
	text_string(t, "-----\n");
	put_base64(t, data, length);
	text_string(t, "\n-----END ");
	text_string(t, label);
	text_string(t, "-----\n");
}

static const char *
make_pem(const uint8_t *data, size_t length)
{
	static const char *const labels[] = { "PRIVATE KEY", "EC PRIVATE KEY",
					      "RSA PRIVATE KEY" };
	struct text t;

	text_init(&t, malloc(2 * length + 512), 2 * length + 512);
	CHECK(t.data != NULL);
	const char *label = labels[fuzz_first(&data, &length) % 3];
	size_t cert = (size_t)fuzz_first(&data, &length) << 8;
	cert |= fuzz_first(&data, &length);
	if (cert > length)
		cert = length;
	put_block(&t, "CERTIFICATE", data, cert);
	put_block(&t, label, data + cert, length - cert);
	CHECK(!t.overflow);
	const char *file = fuzz_file(t.data, t.length);
	free(t.data);
	return file;
}

static bool
is_inside(const void *start, size_t length, const void *whole, size_t size)
{
	const char *p = start, *from = whole;

	return p >= from && length <= size && (size_t)(p - from) <= size - length;
}

static void
check_cert(const struct cert *c)
{
	CHECK(c->count > 0 && c->count <= CERT_COUNT_MAX);
	CHECK(c->key_type == BR_KEYTYPE_RSA || c->key_type == BR_KEYTYPE_EC);
	for (size_t i = 0; i < c->count; i++) {
		const br_x509_certificate *one = &c->chain[i];
		CHECK(one->data_len > 0 &&
		      is_inside(one->data, one->data_len, c->data, sizeof c->data));
		CHECK(i == 0 || one[-1].data + one[-1].data_len <= one->data);
	}
	if (c->key_type == BR_KEYTYPE_EC)
		CHECK(is_inside(c->key.ec.x, c->key.ec.xlen, &c->decoder,
				sizeof c->decoder));
	else
		CHECK(is_inside(c->key.rsa.p, c->key.rsa.plen, &c->decoder,
				sizeof c->decoder) &&
		      c->key.rsa.n_bitlen >= CERT_RSA_BITS_MIN &&
		      c->key.rsa.n_bitlen <= CERT_RSA_BITS_MAX);
}

/* 9999-12-31 23:59:59, the last time that a certificate can have. */
static const uint64_t last_time = UINT64_C(253402300799);

static void
check_dates(const struct cert *c)
{
	struct cert_validity v;

	for (size_t i = 0; i <= c->count; i++)
		if (cert_validity(c, i, &v))
			CHECK(i < c->count && v.not_before <= last_time &&
			      v.not_after <= last_time);
}

/* Searches a certificate: the input after its first three bytes, unchecked. */
static void
look_inside(const uint8_t *data, size_t length)
{
	static struct cert cert;

	if (length < 3)
		return;
	void *der = fuzz_copy(data + 3, length - 3);
	cert.count = 1;
	cert.chain[0] = (br_x509_certificate){ der, length - 3 };
	cert_has_name(&cert, span_of("a.example.org"));
	check_dates(&cert);
	free(der);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static struct cert cert;
	char said[512];
	struct text error;
	const char *file = memmem(data, length, "-----", 5) != NULL
			       ? fuzz_file(data, length)
			       : make_pem(data, length);

	look_inside(data, length);
	text_init(&error, said, sizeof said);
	if (cert_load(&cert, file, file, &error)) {
		CHECK(error.length == 0);
		check_cert(&cert);
		check_dates(&cert);
		return 0;
	}
	/* With nothing loaded. */
	CHECK(cert.count == 0 && cert.key_type == 0);
	CHECK(!error.overflow && error.length > strlen(file) + 1);
	CHECK(memcmp(error.data, file, strlen(file)) == 0);
	return 0;
}
