#include "selfsign.h"

#include "entropy.h"
#include "memory.h"
#include "socket.h"

#include <arpa/inet.h>
#include <bearssl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The PEM text of the file that is being written. */
static char file_text[2 * 16384];

/* Adds "FILE: why".  Always returns false. */
static bool
fail(struct text *error, const char *file, const char *why)
{
	text_string(error, file);
	text_string(error, ": ");
	text_string(error, why);
	return false;
}

/*
 * A DER (X.690) writer
 */

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_VERSION = 0xa0,    /* [0] of a TBSCertificate, RFC 5280 section 4.1 */
	DER_EXTENSIONS = 0xa3, /* [3] */
	DER_DNS_NAME = 0x82,   /* [2] of a GeneralName, section 4.2.1.6 */
	DER_IP_ADDRESS = 0x87  /* [7] */
};

/*
 * Begins an element.  All bytes added until der_close are its content.  Returns the
 * offset of the content, which der_close needs.
 */
static size_t
der_open(struct text *t, enum der_tag tag)
{
	text_char(t, (char)tag);
	return t->length;
}

static void
der_close(struct text *t, size_t start)
{
	size_t length = t->length - start, size = 0;
	unsigned char head[3];

	if (length >= 0x80)
		head[size++] = length >= 0x100 ? 0x82 : 0x81;
	if (length >= 0x100)
		head[size++] = (unsigned char)(length >> 8);
	head[size++] = (unsigned char)length;
	text_put(t, head, size);
	if (t->overflow)
		return;
	memmove(t->data + start + size, t->data + start, length);
	memcpy(t->data + start, head, size);
}

static void
der_put(struct text *t, enum der_tag tag, const void *content, size_t length)
{
	size_t value = der_open(t, tag);

	text_put(t, content, length);
	der_close(t, value);
}

/* Adds a BIT STRING without unused bits. */
static void
der_put_bits(struct text *t, const void *content, size_t length)
{
	size_t value = der_open(t, DER_BIT_STRING);

	text_char(t, 0);
	text_put(t, content, length);
	der_close(t, value);
}

static const uint64_t year_2050 = 2524608000;

/* Years until 2049 have two digits, later ones four (RFC 5280 section 4.1.2.5). */
static void
der_put_time(struct text *t, uint64_t time)
{
	char iso[32], digits[16];
	struct text from, to;

	text_init(&from, iso, sizeof iso);
	text_init(&to, digits, sizeof digits);
	text_iso_time(&from, time);
	for (size_t i = time < year_2050 ? 2 : 0; i < from.length; i++)
		if (iso[i] >= '0' && iso[i] <= '9')
			text_char(&to, iso[i]);
	text_char(&to, 'Z');
	der_put(t, time < year_2050 ? DER_UTC_TIME : DER_GENERALIZED_TIME, digits,
		to.length);
}

/*
 * Names
 */

struct name {
	enum der_tag tag; /* DER_DNS_NAME or DER_IP_ADDRESS */
	size_t length;
	char bytes[SELFSIGN_NAME_MAX];
};

struct names {
	size_t count;
	struct name names[SELFSIGN_NAMES_MAX];
};

/* Adds a name unless it is present already.  Returns false if the list is full. */
static bool
add_name(struct names *n, enum der_tag tag, const void *bytes, size_t length)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->names[i].tag == tag && n->names[i].length == length &&
		    memcmp(n->names[i].bytes, bytes, length) == 0)
			return true;
	if (n->count == SELFSIGN_NAMES_MAX)
		return false;
	struct name *name = &n->names[n->count++];
	name->tag = tag;
	name->length = length;
	memcpy(name->bytes, bytes, length);
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * Checks a label of a DNS name (RFC 1123 section 2.1).  The last label needs a letter,
 * because browsers parse a name as an IPv4 address otherwise.
 */
static bool
valid_label(struct span label, bool last)
{
	bool letter = false;

	for (size_t i = 0; i < label.length; i++) {
		char c = label.data[i];
		if (!is_letter(c) && !is_digit(c) && c != '-')
			return false;
		letter = letter || is_letter(c);
	}
	return label.length >= 1 && label.length <= 63 && *label.data != '-' &&
	       label.data[label.length - 1] != '-' && (letter || !last);
}

static bool
valid_name(const char *name)
{
	if (strlen(name) > SELFSIGN_NAME_MAX)
		return false;
	if (name[0] == '*' && name[1] == '.')
		name += 2;
	for (;;) {
		struct span label = { name, strcspn(name, ".") };
		name += label.length;
		if (!valid_label(label, *name == '\0'))
			return false;
		if (*name++ == '\0')
			return true;
	}
}

/* Adds an IP address or a DNS name.  Returns false if the text is neither.  Sets `full`
 * if the list is full. */
static bool
read_name(struct names *n, const char *text, bool *full)
{
	unsigned char address[16];
	char lower[SELFSIGN_NAME_MAX];
	size_t length = strlen(text);

	if (inet_pton(AF_INET, text, address) == 1) {
		*full = !add_name(n, DER_IP_ADDRESS, address, 4);
	} else if (inet_pton(AF_INET6, text, address) == 1) {
		*full = !add_name(n, DER_IP_ADDRESS, address, 16);
	} else if (valid_name(text)) {
		for (size_t i = 0; i < length; i++)
			lower[i] = (char)(text[i] | (is_letter(text[i]) ? 0x20 : 0));
		*full = !add_name(n, DER_DNS_NAME, lower, length);
	} else {
		return false;
	}
	return true;
}

static bool
read_names(struct names *n, char *const *names, size_t count, struct text *output)
{
	bool full = false;

	for (size_t i = 0; i < count; i++) {
		if (!read_name(n, names[i], &full)) {
			text_char(output, '"');
			text_escaped(output, names[i], strlen(names[i]), 64);
			text_string(output,
				    "\" is neither an IP address nor a DNS name: "
				    "letters, digits, hyphens and dots, at most 253 "
				    "bytes, and *. only in front");
			return false;
		}
		if (full) {
			text_string(output, "more than 32 names");
			return false;
		}
	}
	return true;
}

static void
add_interfaces(struct names *n)
{
	struct socket_address addresses[SELFSIGN_NAMES_MAX];
	size_t count = socket_addresses(addresses, SELFSIGN_NAMES_MAX);

	for (size_t i = 0; i < count; i++)
		add_name(n, DER_IP_ADDRESS, addresses[i].bytes, addresses[i].length);
}

/* Adds the names and addresses of this host, as many as fit. */
static void
find_names(struct names *n)
{
	char host[SELFSIGN_NAME_MAX + 1] = "";
	bool full;

	/* An unset host name may be an invalid name, such as "(none)": ignore it. */
	if (gethostname(host, sizeof host - 1) == 0)
		read_name(n, host, &full);
	read_name(n, "localhost", &full);
	add_interfaces(n);
}

/*
 * The certificate
 */

/* Size of a certificate with the maximum number of names of maximum length, in bytes. */
enum { CERTIFICATE_MAX = 12288 };

/* Contents of a certificate that is being created, and the result. */
struct draft {
	struct names names;
	br_hmac_drbg_context random;
	br_ec_private_key key;
	br_ec_public_key public;
	unsigned char key_data[BR_EC_KBUF_PRIV_MAX_SIZE];
	unsigned char public_data[BR_EC_KBUF_PUB_MAX_SIZE];
	struct text body, certificate;
	char body_data[CERTIFICATE_MAX], certificate_data[CERTIFICATE_MAX];
};

static const unsigned char ecdsa_sha256[] = { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
					      0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 };

/* Extensions that restrict the use: no CA, handshake signatures only, servers only. */
static const unsigned char usage[] = {
	0x30, 0x0c, 0x06, 0x03, 0x55, 0x1d, 0x13, /* basicConstraints */
	0x01, 0x01, 0xff, 0x04, 0x02, 0x30, 0x00, /* critical; CA: FALSE */
	0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, /* keyUsage */
	0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, /* critical; */
	0x07, 0x80,				  /* digitalSignature */
	0x30, 0x13, 0x06, 0x03, 0x55, 0x1d, 0x25, /* extKeyUsage */
	0x04, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, /* serverAuth */
	0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01
};

/* Adds a name as subject or issuer. */
static void
put_distinguished_name(struct text *t, const struct name *name)
{
	enum { COMMON_NAME = 64 }; /* maximum size in bytes (RFC 5280 appendix A.1) */
	static const unsigned char common_name[] = { 0x55, 0x04, 0x03 };
	size_t sequence = der_open(t, DER_SEQUENCE), set = der_open(t, DER_SET);
	size_t pair = der_open(t, DER_SEQUENCE);

	der_put(t, DER_OID, common_name, sizeof common_name);
	size_t value = der_open(t, DER_UTF8_STRING);
	if (name->tag == DER_IP_ADDRESS)
		text_address(t, (const uint8_t *)name->bytes, name->length);
	else if (name->length <= COMMON_NAME)
		text_put(t, name->bytes, name->length);
	else
		text_string(t, "videre");
	der_close(t, value);
	der_close(t, pair);
	der_close(t, set);
	der_close(t, sequence);
}

static void
put_validity(struct text *t)
{
	enum { YEAR_2019 = 1546300800, YEAR_2020 = 1577836800 };
	enum { DAY = 86400, DAYS = 397 };
	struct timespec now;
	size_t sequence = der_open(t, DER_SEQUENCE);

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec < YEAR_2020) {
		der_put_time(t, YEAR_2019);
		der_put_time(t, year_2050 - 1);
	} else {
		/* The last second is included, hence - 1. */
		der_put_time(t, (uint64_t)now.tv_sec - DAY);
		der_put_time(t, (uint64_t)now.tv_sec + (DAYS - 1) * DAY - 1);
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

/* Adds the subjectAltName extension (RFC 5280 section 4.2.1.6). */
static void
put_names(struct text *t, const struct names *n)
{
	static const unsigned char oid[] = { 0x55, 0x1d, 0x11 };
	size_t extension = der_open(t, DER_SEQUENCE);

	der_put(t, DER_OID, oid, sizeof oid);
	size_t value = der_open(t, DER_OCTET_STRING), list = der_open(t, DER_SEQUENCE);
	for (size_t i = 0; i < n->count; i++)
		der_put(t, n->names[i].tag, n->names[i].bytes, n->names[i].length);
	der_close(t, list);
	der_close(t, value);
	der_close(t, extension);
}

/* Adds the subjectKeyIdentifier extension, with method 1 of RFC 7093. */
static void
put_key_identifier(struct text *t, const br_ec_public_key *public)
{
	static const unsigned char oid[] = { 0x55, 0x1d, 0x0e };
	unsigned char hash[br_sha256_SIZE];
	size_t extension = der_open(t, DER_SEQUENCE);

	hash_sha256(public->q, public->qlen, hash);
	der_put(t, DER_OID, oid, sizeof oid);
	size_t value = der_open(t, DER_OCTET_STRING);
	der_put(t, DER_OCTET_STRING, hash, 20);
	der_close(t, value);
	der_close(t, extension);
}

/* Adds the part that is signed (TBSCertificate, RFC 5280 section 4.1). */
static void
put_body(struct text *t, struct draft *m)
{
	static const unsigned char version_3[] = { 0x02, 0x01, 0x02 };
	unsigned char serial[16];
	size_t body = der_open(t, DER_SEQUENCE);

	/* Make the serial number positive, without leading zeros. */
	br_hmac_drbg_generate(&m->random, serial, sizeof serial);
	serial[0] = (serial[0] & 0x7f) | 0x40;
	der_put(t, DER_VERSION, version_3, sizeof version_3);
	der_put(t, DER_INTEGER, serial, sizeof serial);
	text_put(t, ecdsa_sha256, sizeof ecdsa_sha256);
	put_distinguished_name(t, &m->names.names[0]);
	put_validity(t);
	put_distinguished_name(t, &m->names.names[0]);
	put_public_key(t, &m->public);
	size_t extensions = der_open(t, DER_EXTENSIONS), list = der_open(t, DER_SEQUENCE);
	text_put(t, usage, sizeof usage);
	put_names(t, &m->names);
	put_key_identifier(t, &m->public);
	der_close(t, list);
	der_close(t, extensions);
	der_close(t, body);
}

static bool
sign(struct draft *m)
{
	unsigned char hash[br_sha256_SIZE], signature[160];
	struct text *t = &m->certificate;

	text_init(&m->body, m->body_data, sizeof m->body_data);
	text_init(t, m->certificate_data, sizeof m->certificate_data);
	put_body(&m->body, m);
	hash_sha256(m->body.data, m->body.length, hash);
	size_t length = br_ecdsa_sign_asn1_get_default()(
	    br_ec_get_default(), &br_sha256_vtable, hash, &m->key, signature);
	size_t certificate = der_open(t, DER_SEQUENCE);
	text_put(t, m->body.data, m->body.length);
	text_put(t, ecdsa_sha256, sizeof ecdsa_sha256);
	der_put_bits(t, signature, length);
	der_close(t, certificate);
	return length > 0 && !m->body.overflow && !t->overflow;
}

static bool
make_key(struct draft *m)
{
	const br_ec_impl *ec = br_ec_get_default();
	unsigned char seed[48];

	if (!entropy_get(seed, sizeof seed))
		return false;
	br_hmac_drbg_init(&m->random, &br_sha256_vtable, seed, sizeof seed);
	memory_wipe(seed, sizeof seed);
	return br_ec_keygen(&m->random.vtable, ec, &m->key, m->key_data,
			    BR_EC_secp256r1) > 0 &&
	       br_ec_compute_pub(ec, &m->public, m->public_data, &m->key) > 0;
}

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
	fail(output, file, text_error(errno));
	if (fd >= 0) {
		close(fd);
		unlink(file);
	}
	return -1;
}

/* Writes a PEM file and closes it.  On failure adds the error to `output`. */
static bool
finish(int fd, const char *file, const void *der, size_t length, const char *label,
       struct text *output)
{
	bool written = write_pem(fd, der, length, label);
	int write_error = errno;

	if (close(fd) == 0 && written)
		return true;
	return fail(output, file, text_error(written ? errno : write_error));
}

static bool
write_pair(const struct draft *m, const char *cert_file, const char *key_file,
	   struct text *output)
{
	unsigned char der[160]; /* a P-256 key takes 121 bytes */

	if (strcmp(cert_file, key_file) == 0)
		return fail(output, key_file,
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
	size_t length = br_encode_ec_raw_der(der, &m->key, &m->public);
	bool key_written =
	    finish(key, key_file, der, length, BR_ENCODE_PEM_EC_RAW, output);
	memory_wipe(der, sizeof der);
	if (key_written && finish(cert, cert_file, m->certificate.data,
				  m->certificate.length, "CERTIFICATE", output))
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
		if (i > 0)
			text_char(t, ':');
		text_char(t, digits[hash[i] >> 4]);
		text_char(t, digits[hash[i] & 0xf]);
	}
}

int
selfsign_make(const char *cert_file, const char *key_file, char *const *names,
	      size_t count, struct text *output)
{
	static struct draft m;
	bool created = false;

	m.names.count = 0;
	if (count == 0)
		find_names(&m.names);
	else if (!read_names(&m.names, names, count, output))
		return 1;
	if (!make_key(&m))
		text_string(output, "no random bytes (getrandom, /dev/urandom)");
	else if (!sign(&m))
		text_string(output, "the certificate cannot be created");
	else
		created = write_pair(&m, cert_file, key_file, output);
	if (created)
		put_fingerprint(output, &m.certificate);
	memory_wipe(&m.random, sizeof m.random);
	memory_wipe(m.key_data, sizeof m.key_data);
	return created ? 0 : 1;
}
