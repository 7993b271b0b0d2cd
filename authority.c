#include "authority.h"

#include "entropy.h"
#include "memory.h"

#include <bearssl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The PEM text of the file that is being written. */
static char file_text[2 * 16384];

/*
 * The certificates
 */

enum {
	/* Maximum size of a certificate, with the maximum number of names of maximum
	 * length, in bytes. */
	CERTIFICATE_MAX = 12288,
	SUBJECT_MAX = 64, /* bytes (RFC 5280 appendix A.1) */
	KEY_ID_SIZE = 20
};

/* A certificate that is being created, and its key. */
struct draft {
	char subject_data[SUBJECT_MAX], data[CERTIFICATE_MAX];
	struct text subject;
	unsigned char attribute; /* of the subject: last byte of the OID */
	struct text der;	 /* the result */
	br_ec_private_key key;
	br_ec_public_key public;
	unsigned char key_data[BR_EC_KBUF_PRIV_MAX_SIZE];
	unsigned char public_data[BR_EC_KBUF_PUB_MAX_SIZE];
	unsigned char key_id[br_sha256_SIZE]; /* KEY_ID_SIZE bytes are used */
};

/* What two certificates have in common. */
struct issue {
	struct altnames names;
	struct timespec now;
	br_hmac_drbg_context random;
	struct draft authority, server;
};

static const unsigned char ecdsa_sha256[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
					      0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };

/* An extension of both: servers only.  In an authority it holds for all that it signs. */
static const unsigned char servers_only[] = {
	0x30, 0x13, 0x06, 0x03, 0x55, 0x1d, 0x25, /* extKeyUsage */
	0x04, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, /* serverAuth */
	0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01
};

/* Extensions of the server: no CA, handshake signatures only. */
static const unsigned char server_usage[] = {
	0x30, 0x0c, 0x06, 0x03, 0x55, 0x1d, 0x13, /* basicConstraints */
	0x01, 0x01, 0xff, 0x04, 0x02, 0x30, 0x00, /* critical; CA: FALSE */
	0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, /* keyUsage */
	0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, /* critical; */
	0x07, 0x80				  /* digitalSignature */
};

/* Extensions of the authority: a CA without CAs below it. */
static const unsigned char authority_usage[] = {
	0x30, 0x12, 0x06, 0x03, 0x55, 0x1d, 0x13, /* basicConstraints */
	0x01, 0x01, 0xff, 0x04, 0x08, 0x30, 0x06, /* critical; */
	0x01, 0x01, 0xff, 0x02, 0x01, 0x00,	  /* CA: TRUE, pathlen: 0 */
	0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, /* keyUsage */
	0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, /* critical; */
	0x01, 0x06				  /* keyCertSign, cRLSign */
};

/* Adds a subject or issuer: a name with one attribute. */
static void
put_distinguished_name(struct text *t, const struct draft *d)
{
	const unsigned char oid[] = { 0x55, 0x04, d->attribute };
	size_t sequence = der_open(t, DER_SEQUENCE), set = der_open(t, DER_SET);
	size_t pair = der_open(t, DER_SEQUENCE);

	der_put(t, DER_OID, oid, sizeof oid);
	der_put(t, DER_UTF8_STRING, d->subject.data, d->subject.length);
	der_close(t, pair);
	der_close(t, set);
	der_close(t, sequence);
}

static void
put_validity(struct text *t, time_t now)
{
	enum { YEAR_2019 = 1546300800, DAY = 86400, DAYS = 825 };
	size_t sequence = der_open(t, DER_SEQUENCE);

	if (now < TEXT_RELEASED) {
		der_put_time(t, YEAR_2019);
		der_put_time(t, DER_YEAR_2050 - 1);
	} else {
		/* The last second is included, hence - 1. */
		der_put_time(t, (uint64_t)now - DAY);
		der_put_time(t, (uint64_t)now + (DAYS - 1) * DAY - 1);
	}
	der_close(t, sequence);
}

static void
put_public_key(struct text *t, const br_ec_public_key *public)
{
	static const unsigned char p256[] = { 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
					      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
					      0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	size_t sequence = der_open(t, DER_SEQUENCE);

	text_put(t, p256, sizeof p256);
	der_put_bits(t, public->q, public->qlen);
	der_close(t, sequence);
}

static void
hash_sha256(const void *data, size_t length, unsigned char hash[br_sha256_SIZE])
{
	br_sha256_context context;

	br_sha256_init(&context);
	br_sha256_update(&context, data, length);
	br_sha256_out(&context, hash);
}

/* Extensions, by the last byte of their OID (RFC 5280 section 4.2.1). */
enum extension {
	SUBJECT_KEY_ID = 14,
	SUBJECT_ALT_NAME = 17,
	NAME_CONSTRAINTS = 30,
	AUTHORITY_KEY_ID = 35
};

/* Begins an extension.  Sets what end_extension needs. */
static void
begin_extension(struct text *t, enum extension id, size_t starts[2])
{
	const unsigned char oid[] = { 0x55, 0x1d, (unsigned char)id };

	starts[0] = der_open(t, DER_SEQUENCE);
	der_put(t, DER_OID, oid, sizeof oid);
	if (id == NAME_CONSTRAINTS)
		der_put(t, DER_BOOLEAN, "\xff", 1); /* critical */
	starts[1] = der_open(t, DER_OCTET_STRING);
}

static void
end_extension(struct text *t, const size_t starts[2])
{
	der_close(t, starts[1]);
	der_close(t, starts[0]);
}

static void
put_names(struct text *t, const struct altnames *n)
{
	size_t starts[2];

	begin_extension(t, SUBJECT_ALT_NAME, starts);
	size_t list = der_open(t, DER_SEQUENCE);
	for (size_t i = 0; i < n->count; i++)
		der_put(t, n->names[i].tag, n->names[i].bytes, n->names[i].length);
	der_close(t, list);
	end_extension(t, starts);
}

/* Adds a DNS name and all below it, or an address and its mask. */
static void
put_subtree(struct text *t, enum der_tag tag, const char *bytes, size_t length)
{
	size_t subtree = der_open(t, DER_SEQUENCE);

	der_put(t, tag, bytes, length);
	der_close(t, subtree);
}

static void
put_permitted(struct text *t, const struct altname *name)
{
	char address[32];

	if (name->tag == DER_DNS_NAME) {
		size_t skipped = *name->bytes == '*' ? 2 : 0;
		put_subtree(t, DER_DNS_NAME, name->bytes + skipped,
			    name->length - skipped);
	} else {
		memcpy(address, name->bytes, name->length);
		memset(address + name->length, 0xff, name->length);
		put_subtree(t, DER_IP_ADDRESS, address, 2 * name->length);
	}
}

/*
 * Adds the nameConstraints extension (RFC 5280 section 4.2.1.10).  A kind of name that is
 * not permitted anywhere would be unrestricted, so all of it is excluded: all DNS names
 * by an empty one, all addresses by an empty mask.  Nothing stands for all e-mail
 * addresses or URIs, so only those of a host that can not exist are permitted (RFC 6761).
 */
static void
put_constraints(struct text *t, const struct altnames *n)
{
	static const char zeros[32], nowhere[] = "invalid";
	static const uint8_t sizes[] = { 0, 4, 16 }; /* DNS, IPv4, IPv6 */
	size_t starts[2], counts[3] = { 0 };

	begin_extension(t, NAME_CONSTRAINTS, starts);
	size_t both = der_open(t, DER_SEQUENCE);
	size_t list = der_open(t, DER_CONTEXT_0);
	for (size_t i = 0; i < n->count; i++) {
		put_permitted(t, &n->names[i]);
		counts[n->names[i].tag == DER_DNS_NAME ? 0
		       : n->names[i].length == 4       ? 1
						       : 2]++;
	}
	put_subtree(t, DER_EMAIL, nowhere, sizeof nowhere - 1);
	put_subtree(t, DER_URI, nowhere, sizeof nowhere - 1);
	der_close(t, list);
	if (counts[0] == 0 || counts[1] == 0 || counts[2] == 0) {
		list = der_open(t, DER_CONTEXT_1);
		for (size_t i = 0; i < 3; i++)
			if (counts[i] == 0)
				put_subtree(t, i == 0 ? DER_DNS_NAME : DER_IP_ADDRESS,
					    zeros, 2 * (size_t)sizes[i]);
		der_close(t, list);
	}
	der_close(t, both);
	end_extension(t, starts);
}

static void
put_key_ids(struct text *t, const struct draft *subject, const struct draft *issuer)
{
	size_t starts[2];

	begin_extension(t, SUBJECT_KEY_ID, starts);
	der_put(t, DER_OCTET_STRING, subject->key_id, KEY_ID_SIZE);
	end_extension(t, starts);
	begin_extension(t, AUTHORITY_KEY_ID, starts);
	size_t id = der_open(t, DER_SEQUENCE);
	der_put(t, DER_KEY_ID, issuer->key_id, KEY_ID_SIZE);
	der_close(t, id);
	end_extension(t, starts);
}

/* Adds the part that is signed (TBSCertificate, RFC 5280 section 4.1). */
static void
put_body(struct text *t, struct issue *m, const struct draft *subject)
{
	static const unsigned char version_3[] = { 0x02, 0x01, 0x02 };
	unsigned char serial[16];
	size_t body = der_open(t, DER_SEQUENCE);

	/* Make the serial number positive, without leading zeros. */
	br_hmac_drbg_generate(&m->random, serial, sizeof serial);
	serial[0] = (serial[0] & 0x7f) | 0x40;
	der_put(t, DER_CONTEXT_0, version_3, sizeof version_3);
	der_put(t, DER_INTEGER, serial, sizeof serial);
	text_put(t, ecdsa_sha256, sizeof ecdsa_sha256);
	put_distinguished_name(t, &m->authority);
	put_validity(t, m->now.tv_sec);
	put_distinguished_name(t, subject);
	put_public_key(t, &subject->public);
	size_t extensions = der_open(t, DER_CONTEXT_3);
	size_t list = der_open(t, DER_SEQUENCE);
	text_put(t, servers_only, sizeof servers_only);
	if (subject == &m->authority) {
		text_put(t, authority_usage, sizeof authority_usage);
		put_constraints(t, &m->names);
	} else {
		text_put(t, server_usage, sizeof server_usage);
		put_names(t, &m->names);
	}
	put_key_ids(t, subject, &m->authority);
	der_close(t, list);
	der_close(t, extensions);
	der_close(t, body);
}

/* Creates a certificate that the authority signs. */
static bool
sign(struct issue *m, struct draft *subject)
{
	static char data[CERTIFICATE_MAX];
	unsigned char hash[br_sha256_SIZE], signature[160];
	struct text body, *t = &subject->der;

	text_init(&body, data, sizeof data);
	text_init(t, subject->data, sizeof subject->data);
	put_body(&body, m, subject);
	hash_sha256(body.data, body.length, hash);
	size_t length = br_ecdsa_sign_asn1_get_default()(
	    br_ec_get_default(), &br_sha256_vtable, hash, &m->authority.key, signature);
	size_t certificate = der_open(t, DER_SEQUENCE);
	text_span(t, (struct span){ body.data, body.length });
	text_put(t, ecdsa_sha256, sizeof ecdsa_sha256);
	der_put_bits(t, signature, length);
	der_close(t, certificate);
	return length > 0 && !body.overflow && !t->overflow;
}

/*
 * Sets the subjects.  OpenSSL and GnuTLS apply constraints on DNS names to a common name
 * too if there is no other DNS name, so the server has one only if it is a DNS name.  The
 * authority's has a random part, because clients tell authorities apart by it.
 */
static void
name_drafts(struct issue *m)
{
	enum { COMMON_NAME = 3, ORGANIZATION = 10 };
	enum { DIGITS = 16, NAME_MAX = SUBJECT_MAX - DIGITS - 8 };
	const struct altname *first = &m->names.names[0];
	struct text *server = &m->server.subject, *authority = &m->authority.subject;
	bool is_host = first->tag == DER_DNS_NAME && first->length <= SUBJECT_MAX;
	uint32_t random[2];

	text_init(server, m->server.subject_data, SUBJECT_MAX);
	text_init(authority, m->authority.subject_data, SUBJECT_MAX);
	m->server.attribute = is_host ? COMMON_NAME : ORGANIZATION;
	if (is_host)
		altname_put(server, first);
	else
		text_string(server, "videre");
	m->authority.attribute = COMMON_NAME;
	text_string(authority, "videre ");
	if (first->length <= NAME_MAX) {
		altname_put(authority, first);
		text_char(authority, ' ');
	}
	br_hmac_drbg_generate(&m->random, random, sizeof random);
	text_hex(authority, random[0], DIGITS / 2);
	text_hex(authority, random[1], DIGITS / 2);
}

static bool
make_key(struct issue *m, struct draft *d)
{
	const br_ec_impl *ec = br_ec_get_default();

	if (br_ec_keygen(&m->random.vtable, ec, &d->key, d->key_data, BR_EC_secp256r1) ==
		0 ||
	    br_ec_compute_pub(ec, &d->public, d->public_data, &d->key) == 0)
		return false;
	/* Method 1 of RFC 7093. */
	hash_sha256(d->public.q, d->public.qlen, d->key_id);
	return true;
}

static bool
seed_random(struct issue *m)
{
	unsigned char seed[48];

	if (!entropy_get(seed, sizeof seed))
		return false;
	br_hmac_drbg_init(&m->random, &br_sha256_vtable, seed, sizeof seed);
	memory_wipe(seed, sizeof seed);
	return true;
}

/* Makes the keys and certificates.  The authority's key is then erased. */
static bool
make_certificates(struct issue *m)
{
	clock_gettime(CLOCK_REALTIME, &m->now);
	name_drafts(m);
	bool made = make_key(m, &m->authority) && make_key(m, &m->server) &&
		    sign(m, &m->authority) && sign(m, &m->server);
	memory_wipe(&m->random, sizeof m->random);
	memory_wipe(m->authority.key_data, sizeof m->authority.key_data);
	return made;
}

/*
 * Files
 */

static bool
write_pem(int fd, const void *der, size_t length, const char *label)
{
	size_t size = br_pem_encode(NULL, NULL, length, label, BR_PEM_LINE64), at = 0;

	_Static_assert(2 * CERTIFICATE_MAX < sizeof file_text,
		       "a certificate as PEM fits");
	br_pem_encode(file_text, der, length, label, BR_PEM_LINE64);
	while (at < size) {
		ssize_t n = write(fd, file_text + at, size - at);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	memory_wipe(file_text, size);
	return at == size && fsync(fd) == 0;
}

/*
 * Creates a file with a mode, regardless of the umask.  Returns the file descriptor; on
 * failure returns -1 and adds the error to `output`.
 */
static int
create(const char *file, mode_t mode, struct text *output)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd >= 0 && fchmod(fd, mode) == 0)
		return fd;
	text_file_error(output, file, text_error(errno));
	if (fd >= 0) {
		close(fd);
		unlink(file);
	}
	return -1;
}

/* Closes a file that has been written.  On failure adds the error to `output`. */
static bool
finish(int fd, const char *file, bool written, struct text *output)
{
	int write_error = errno;

	if (close(fd) == 0 && written)
		return true;
	return text_file_error(output, file, text_error(written ? errno : write_error));
}

static bool
write_certificate(int fd, const struct draft *d)
{
	return write_pem(fd, d->der.data, d->der.length, "CERTIFICATE");
}

static bool
write_key(int fd, const struct draft *d)
{
	unsigned char der[160]; /* a P-256 key takes 121 bytes */
	size_t length = br_encode_ec_raw_der(der, &d->key, &d->public);
	bool written = write_pem(fd, der, length, BR_ENCODE_PEM_EC_RAW);

	memory_wipe(der, sizeof der);
	return written;
}

static bool
write_pair(const struct issue *m, const char *cert_file, const char *key_file,
	   struct text *output)
{
	if (strcmp(cert_file, key_file) == 0)
		return text_file_error(output, key_file,
				       "the certificate and the key must be two files");
	int key = create(key_file, 0600, output);
	if (key < 0)
		return false;
	int cert = create(cert_file, 0644, output);
	if (cert < 0) {
		close(key);
		unlink(key_file);
		return false;
	}
	bool key_written = finish(key, key_file, write_key(key, &m->server), output);
	if (key_written && finish(cert, cert_file,
				  write_certificate(cert, &m->server) &&
				      write_certificate(cert, &m->authority),
				  output))
		return true;
	if (!key_written)
		close(cert);
	unlink(key_file);
	unlink(cert_file);
	return false;
}

static void
put_fingerprint(struct text *t, const struct text *certificate)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char hash[br_sha256_SIZE];

	hash_sha256(certificate->data, certificate->length, hash);
	for (size_t i = 0; i < sizeof hash; i++) {
		text_char(t, i > 0 ? ':' : ' ');
		text_char(t, digits[hash[i] >> 4]);
		text_char(t, digits[hash[i] & 0xf]);
	}
}

static void
put_report(struct text *t, const struct issue *m)
{
	text_string(t, "names:");
	for (size_t i = 0; i < m->names.count; i++) {
		text_char(t, ' ');
		altname_put(t, &m->names.names[i]);
	}
	text_string(t, "\nSHA-256 of the certificate:");
	put_fingerprint(t, &m->server.der);
	text_string(t, "\nSHA-256 of its authority:  ");
	put_fingerprint(t, &m->authority.der);
	text_string(t, "\nClients trust it after they install the authority from /ca.crt "
		       "of the server;\ncompare the fingerprint there.");
}

int
authority_issue(const char *cert_file, const char *key_file, char *const *names,
		size_t count, struct text *output)
{
	static struct issue m;
	bool created = false;

	m.names.count = 0;
	if (count == 0)
		altnames_find(&m.names);
	else if (!altnames_read(&m.names, names, count, output))
		return 1;
	if (!seed_random(&m))
		text_string(output, "no random bytes (getrandom, /dev/urandom)");
	else if (!make_certificates(&m))
		text_string(output, "the certificate cannot be created");
	else
		created = write_pair(&m, cert_file, key_file, output);
	if (created)
		put_report(output, &m);
	memory_wipe(m.server.key_data, sizeof m.server.key_data);
	return created ? 0 : 1;
}
