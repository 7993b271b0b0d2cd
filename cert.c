#include "cert.h"

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The text of a file.  One byte more than allowed shows that a file is too long. */
static char file_text[CERT_FILE_MAX + 1];
static size_t file_used; /* bytes of file_text to erase after use */

/*
 * PEM
 */

/* A block of a PEM file: -----BEGIN LABEL-----, the body, -----END LABEL-----. */
struct block {
	struct span label;
	struct span body;
	bool complete; /* it has a BEGIN line and an END line with the same label */
};

static bool
starts(struct span s, const char *prefix)
{
	size_t length = strlen(prefix);

	return s.length >= length && memcmp(s.data, prefix, length) == 0;
}

static bool
ends(struct span s, const char *suffix)
{
	size_t length = strlen(suffix);

	return s.length >= length &&
	       memcmp(s.data + s.length - length, suffix, length) == 0;
}

static struct span
skip(struct span s, size_t length)
{
	return (struct span){ s.data + length, s.length - length };
}

/*
 * Returns the next line, without trailing spaces and tabs.  Both CR and LF end a line, so
 * CR LF makes an additional, empty line, which is harmless.
 */
static struct span
take_line(struct span *rest)
{
	struct span line = { rest->data, 0 };

	while (line.length < rest->length && line.data[line.length] != '\n' &&
	       line.data[line.length] != '\r')
		line.length++;
	*rest = skip(*rest, line.length + (line.length < rest->length));
	while (line.length > 0 &&
	       (line.data[line.length - 1] == ' ' || line.data[line.length - 1] == '\t'))
		line.length--;
	return line;
}

/* Reads the label of a line that consists of `mark`, the label and five dashes. */
static bool
read_label(struct span line, const char *mark, struct span *label)
{
	if (!starts(line, mark))
		return false;
	*label = skip(line, strlen(mark));
	if (!ends(*label, "-----"))
		return false;
	label->length -= 5;
	return true;
}

/*
 * Finds the next BEGIN or END line, and the block that it begins.  Returns false if there
 * is none.  The block may be incomplete.
 */
static bool
next_block(struct span *rest, struct block *b)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	struct span line, label;

	*b = (struct block){ 0 };
	do {
		if (rest->length == 0)
			return false;
		line = take_line(rest);
	} while (!starts(line, begin) && !starts(line, end));
	if (!read_label(line, begin, &b->label))
		return true;
	b->body.data = rest->data;
	do {
		if (rest->length == 0)
			return true;
		line = take_line(rest);
	} while (!starts(line, "-----"));
	b->body.length = (size_t)(line.data - b->body.data);
	b->complete = read_label(line, end, &label) && label.length == b->label.length &&
		      memcmp(label.data, b->label.data, label.length) == 0;
	return true;
}

/*
 * DER (X.690)
 */

enum {
	DER_OID = 0x06,
	DER_OCTETS = 0x04,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_EXTENSIONS = 0xa3, /* [3] of a TBSCertificate, RFC 5280 section 4.1 */
	DER_DNS_NAME = 0x82    /* [2] of a GeneralName, section 4.2.1.6 */
};

/*
 * Removes an element from the front of `rest`.  Returns its tag and sets `contents`;
 * returns -1 if there is no complete element.
 */
static int
take_element(struct span *rest, struct span *contents)
{
	const unsigned char *der = (const unsigned char *)rest->data;
	size_t length = 0, head = 2;

	if (rest->length < head)
		return -1;
	if (der[1] < 0x80)
		length = der[1];
	else
		head += der[1] & 0x7fU;
	if (head > 5 || rest->length < head)
		return -1;
	for (size_t i = 2; i < head; i++)
		length = length << 8 | der[i];
	if (length > rest->length - head)
		return -1;
	*contents = (struct span){ rest->data + head, length };
	*rest = skip(*rest, head + length);
	return der[0];
}

/* Returns true if the bytes are exactly one SEQUENCE. */
static bool
is_sequence(const unsigned char *der, size_t length)
{
	struct span rest = { (const char *)der, length }, contents;

	return take_element(&rest, &contents) == DER_SEQUENCE && rest.length == 0;
}

/*
 * Finds the first element with a tag and sets `contents`.  Returns false if none has it.
 */
static bool
find_element(struct span list, int tag, struct span *contents)
{
	int found;

	do
		found = take_element(&list, contents);
	while (found >= 0 && found != tag);
	return found == tag;
}

static bool
name_matches(struct span pattern, struct span name)
{
	const char *dot = memchr(name.data, '.', name.length);

	if (starts(pattern, "*.")) {
		if (dot == NULL || dot == name.data)
			return false;
		pattern = skip(pattern, 1);
		name = skip(name, (size_t)(dot - name.data));
	}
	return span_same_nocase(pattern, name);
}

/* Finds the names in an extension.  Returns false if it is not a subjectAltName. */
static bool
find_names(struct span extension, struct span *names)
{
	struct span oid, value;

	return find_element(extension, DER_OID, &oid) && span_is(oid, "\x55\x1d\x11") &&
	       find_element(extension, DER_OCTETS, &value) &&
	       find_element(value, DER_SEQUENCE, names);
}

/* Finds the contents of the TBSCertificate (RFC 5280 section 4.1). */
static bool
find_contents(const br_x509_certificate *cert, struct span *contents)
{
	struct span der = { (const char *)cert->data, cert->data_len };

	return find_element(der, DER_SEQUENCE, &der) &&
	       find_element(der, DER_SEQUENCE, contents);
}

bool
cert_has_name(const struct cert *c, struct span name)
{
	struct span der, extension, names, one;
	int tag;

	if (c->count == 0 || !find_contents(&c->chain[0], &der) ||
	    !find_element(der, DER_EXTENSIONS, &der) || /* [3] */
	    !find_element(der, DER_SEQUENCE, &der))	/* Extensions */
		return false;
	while (take_element(&der, &extension) >= 0) {
		if (!find_names(extension, &names))
			continue;
		while ((tag = take_element(&names, &one)) >= 0)
			if (tag == DER_DNS_NAME && name_matches(one, name))
				return true;
	}
	return false;
}

bool
cert_authority(const struct cert *c, struct span *der)
{
	enum { ISSUER = 3, SUBJECT = 5, COUNT }; /* of a TBSCertificate with a version */
	br_x509_decoder_context decoder;
	struct span body, parts[COUNT];

	if (c->count < 2)
		return false;
	const br_x509_certificate *last = &c->chain[c->count - 1];
	if (last->data_len == c->chain[0].data_len &&
	    memcmp(last->data, c->chain[0].data, last->data_len) == 0)
		return false;
	br_x509_decoder_init(&decoder, NULL, NULL);
	br_x509_decoder_push(&decoder, last->data, last->data_len);
	*der = (struct span){ (const char *)last->data, last->data_len };
	if (br_x509_decoder_last_error(&decoder) != 0 ||
	    !br_x509_decoder_isCA(&decoder) || !find_contents(last, &body))
		return false;
	for (size_t i = 0; i < COUNT; i++)
		if (take_element(&body, &parts[i]) < 0)
			return false;
	return parts[ISSUER].length == parts[SUBJECT].length &&
	       memcmp(parts[ISSUER].data, parts[SUBJECT].data, parts[ISSUER].length) == 0;
}

/*
 * Converts a date, from 1970 on, to days since 1970.  Internally a year begins on 1
 * March, so that the leap day is its last day.
 */
static uint32_t
days_until(uint32_t year, uint32_t month, uint32_t day)
{
	enum { BEFORE_1970 = 719468 };

	year -= month <= 2;
	month = month <= 2 ? month + 9 : month - 3;
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 +
	       day - 1 - BEFORE_1970;
}

/*
 * Takes a UTCTime (YYMMDDHHMMSSZ, from 1950 to 2049) or a GeneralizedTime
 * (YYYYMMDDHHMMSSZ).  RFC 5280 section 4.1.2.5 allows no other form.  A day that its
 * month does not have, such as February 30, counts into the next month.
 */
static bool
take_time(struct span *rest, uint64_t *time)
{
	enum { CENTURY, YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, FIELDS };
	static const uint8_t most[FIELDS] = { 99, 99, 12, 31, 23, 59, 59 };
	uint32_t f[FIELDS];
	uint64_t number;
	struct span s;
	int tag = take_element(rest, &s);

	if (tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME)
		return false;
	for (unsigned i = tag == DER_UTC_TIME ? YEAR : CENTURY; i < FIELDS; i++) {
		if (s.length < 2 ||
		    !text_to_number((struct span){ s.data, 2 }, most[i], &number))
			return false;
		f[i] = (uint32_t)number;
		s = skip(s, 2);
	}
	if (tag == DER_UTC_TIME)
		f[CENTURY] = f[YEAR] < 50 ? 20 : 19;
	uint32_t year = 100 * f[CENTURY] + f[YEAR];
	if (!span_is(s, "Z") || f[MONTH] == 0 || f[DAY] == 0)
		return false;
	*time = 0;
	if (year >= 1970)
		*time = (uint64_t)days_until(year, f[MONTH], f[DAY]) * 86400 +
			3600 * f[HOUR] + 60 * f[MINUTE] + f[SECOND];
	return true;
}

bool
cert_validity(const struct cert *c, size_t index, struct cert_validity *v)
{
	struct span der, validity;
	int tag = 0;

	if (index >= c->count || !find_contents(&c->chain[index], &der))
		return false;
	/* The third SEQUENCE, after the algorithm and the issuer. */
	for (unsigned found = 0; found < 3; found += tag == DER_SEQUENCE)
		if ((tag = take_element(&der, &validity)) < 0)
			return false;
	return take_time(&validity, &v->not_before) &&
	       take_time(&validity, &v->not_after);
}

/*
 * Loading
 */

/*
 * Reads a whole file into file_text.  Sets `exposed` to whether every user may read it.
 * On failure returns false and adds to `error`.
 */
static bool
read_file(const char *file, struct span *text, bool *exposed, struct text *error)
{
	struct stat status;
	size_t length = 0;
	ssize_t n;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return text_file_error(error, file, text_error(errno));
	while ((n = read(fd, file_text + length, sizeof file_text - length)) > 0)
		length += (size_t)n;
	int read_error = errno;
	*exposed = fstat(fd, &status) == 0 && (status.st_mode & S_IROTH) != 0;
	close(fd);
	*text = (struct span){ file_text, length };
	file_used = length > file_used ? length : file_used;
	if (n < 0)
		return text_file_error(error, file, text_error(read_error));
	if (length > CERT_FILE_MAX)
		return text_file_error(error, file, "longer than 131072 bytes");
	if (length == 0)
		return text_file_error(error, file, "empty");
	/* Skip the byte order mark that some editors add. */
	if (starts(*text, "\xef\xbb\xbf"))
		*text = skip(*text, 3);
	return true;
}

static bool
is_certificate(struct span label)
{
	return span_is(label, "CERTIFICATE") || span_is(label, "X509 CERTIFICATE");
}

static bool
is_key(struct span label)
{
	return ends(label, "PRIVATE KEY");
}

static const char damaged_block[] =
    "damaged: a -----BEGIN or -----END line without the other";

/* Returns why BearSSL's decoder has rejected a key or a certificate. */
static const char *
decoder_reason(int code)
{
	switch (code) {
	case BR_ERR_X509_UNSUPPORTED:
	case BR_ERR_X509_WRONG_KEY_TYPE:
	case BR_ERR_X509_LIMIT_EXCEEDED:
		return "a kind or size of key that is not supported: use RSA of 2048 to "
		       "4096 bits or EC P-256, P-384 or P-521";
	default: return "damaged: the contents do not match the label";
	}
}

static bool
add_certificate(struct cert *c, struct span body, size_t *used, const char *file,
		struct text *error)
{
	unsigned char *der = c->data + *used;

	if (c->count == CERT_COUNT_MAX)
		return text_file_error(error, file, "more than 8 certificates");
	long length = base64_decode(body, BASE64, der, sizeof c->data - *used);
	if (length == BASE64_TOO_LONG)
		return text_file_error(error, file,
				       "more than 65536 bytes of certificates");
	if (length < 0 || !is_sequence(der, (size_t)length))
		return text_file_error(error, file,
				       "damaged: a certificate cannot be read");
	c->chain[c->count++] = (br_x509_certificate){ der, (size_t)length };
	*used += (size_t)length;
	return true;
}

static bool
read_chain(struct cert *c, const char *file, struct text *error)
{
	struct span rest;
	struct block b;
	size_t used = 0;
	bool key = false, exposed;

	if (!read_file(file, &rest, &exposed, error))
		return false;
	while (next_block(&rest, &b)) {
		if (!b.complete)
			return text_file_error(error, file, damaged_block);
		if (is_certificate(b.label) &&
		    !add_certificate(c, b.body, &used, file, error))
			return false;
		key = key || is_key(b.label);
	}
	return c->count > 0 ||
	       text_file_error(
		   error, file,
		   key ? "a private key but no certificate: are the two files "
			 "swapped?"
		       : "no certificate (-----BEGIN CERTIFICATE-----)");
}

static bool
check_rsa_size(size_t bits, const char *file, struct text *error)
{
	if (bits >= CERT_RSA_BITS_MIN && bits <= CERT_RSA_BITS_MAX)
		return true;
	text_file_error(error, file, "an RSA key of ");
	text_number(error, bits);
	text_string(error, " bits: 2048 to 4096 are supported");
	return false;
}

/* Sets the key, which points into `c->decoder`. */
static bool
decode_key(struct cert *c, const unsigned char *der, size_t length, const char *file,
	   struct text *error)
{
	br_skey_decoder_context *d = &c->decoder;

	br_skey_decoder_init(d);
	br_skey_decoder_push(d, der, length);
	int code = br_skey_decoder_last_error(d);
	if (code != 0)
		return text_file_error(error, file, decoder_reason(code));
	c->key_type = br_skey_decoder_key_type(d);
	if (c->key_type == BR_KEYTYPE_EC) {
		c->key.ec = *br_skey_decoder_get_ec(d);
		return true;
	}
	c->key.rsa = *br_skey_decoder_get_rsa(d);
	return check_rsa_size(c->key.rsa.n_bitlen, file, error);
}

static bool
take_key(struct cert *c, const struct block *b, const char *file, struct text *error)
{
	unsigned char *der = (unsigned char *)file_text + (b->body.data - file_text);

	if (span_is(b->label, "ENCRYPTED PRIVATE KEY") || starts(b->body, "Proc-Type:"))
		return text_file_error(error, file,
				       "the key is encrypted: remove its passphrase");
	if (!span_is(b->label, "PRIVATE KEY") && !span_is(b->label, "RSA PRIVATE KEY") &&
	    !span_is(b->label, "EC PRIVATE KEY"))
		return text_file_error(error, file,
				       decoder_reason(BR_ERR_X509_UNSUPPORTED));
	long length = base64_decode(b->body, BASE64, der, b->body.length);
	if (length < 0 || !is_sequence(der, (size_t)length))
		return text_file_error(error, file, "damaged: the key cannot be read");
	return decode_key(c, der, (size_t)length, file, error);
}

static bool
read_key(struct cert *c, const char *file, struct text *error)
{
	struct span rest;
	struct block b;
	bool certificate = false;

	if (!read_file(file, &rest, &c->key_exposed, error))
		return false;
	while (next_block(&rest, &b)) {
		if (!b.complete)
			return text_file_error(error, file, damaged_block);
		if (is_key(b.label))
			return take_key(c, &b, file, error);
		certificate = certificate || is_certificate(b.label);
	}
	return text_file_error(error, file,
			       certificate
				   ? "a certificate but no private key: are the two "
				     "files swapped?"
				   : "no private key (-----BEGIN PRIVATE KEY-----)");
}

static bool
rsa_fits(const br_rsa_private_key *key, const br_rsa_public_key *public)
{
	static const unsigned char hash[br_sha256_SIZE] = { 1 };
	unsigned char signature[CERT_RSA_BITS_MAX / 8], found[br_sha256_SIZE];

	return (key->n_bitlen + 7) / 8 == public->nlen &&
	       br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash, sizeof hash, key,
					       signature) == 1 &&
	       br_rsa_pkcs1_vrfy_get_default()(signature, public->nlen,
					       BR_HASH_OID_SHA256, sizeof found, public,
					       found) == 1 &&
	       memcmp(hash, found, sizeof hash) == 0;
}

static bool
ec_fits(const br_ec_private_key *key, const br_ec_public_key *public)
{
	unsigned char point[BR_EC_KBUF_PUB_MAX_SIZE];

	return key->curve == public->curve &&
	       br_ec_compute_pub(br_ec_get_default(), NULL, point, key) == public->qlen &&
	       memcmp(point, public->q, public->qlen) == 0;
}

/* Checks that the private key belongs to the first certificate. */
static bool
check_pair(struct cert *c, const char *cert_file, const char *key_file,
	   struct text *error)
{
	br_x509_decoder_context decoder;
	const br_x509_pkey *public;

	br_x509_decoder_init(&decoder, NULL, NULL);
	br_x509_decoder_push(&decoder, c->chain[0].data, c->chain[0].data_len);
	int code = br_x509_decoder_last_error(&decoder);
	public = br_x509_decoder_get_pkey(&decoder);
	if (code != 0 || public == NULL)
		return text_file_error(error, cert_file, decoder_reason(code));
	c->issuer_key_type = br_x509_decoder_get_signer_key_type(&decoder);
	if (public->key_type == BR_KEYTYPE_RSA &&
	    !check_rsa_size(8 * public->key.rsa.nlen, cert_file, error))
		return false;
	if (public->key_type == c->key_type &&
	    (c->key_type == BR_KEYTYPE_EC ? ec_fits(&c->key.ec, &public->key.ec)
					  : rsa_fits(&c->key.rsa, &public->key.rsa)))
		return true;
	text_file_error(error, key_file, "not the key of the (first) certificate in ");
	text_string(error, cert_file);
	return false;
}

void
cert_wipe(struct cert *c)
{
	c->count = 0;
	c->authority = (struct span){ 0 };
	c->key_type = 0;
	c->issuer_key_type = 0;
	memory_wipe(&c->key, sizeof c->key);
	memory_wipe(&c->decoder, sizeof c->decoder);
}

bool
cert_load(struct cert *c, const char *cert_file, const char *key_file, struct text *error)
{
	cert_wipe(c);
	bool loaded = read_chain(c, cert_file, error) && read_key(c, key_file, error);
	/* Either file may have contained the key. */
	memory_wipe(file_text, file_used);
	file_used = 0;
	if (loaded && check_pair(c, cert_file, key_file, error)) {
		if (!cert_authority(c, &c->authority))
			c->authority = (struct span){ 0 };
		return true;
	}
	cert_wipe(c);
	return false;
}
