/*
 * Loading created certificates and keys, intact and damaged, and erasing keys.
 * cert.test.mjs tests more, with files from OpenSSL.
 */
#include "cert.h"
#include "authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { PEM = 4096 };

struct file {
	char path[300];
	char data[PEM];
	size_t length;
};

static char directory[256];
static char message[2048];			    /* output of the last call */
static struct file cert_file, key_file, other_file; /* tests write the last one */
static struct cert cert;

static void
set_path(struct file *f, const char *name)
{
	snprintf(f->path, sizeof f->path, "%s/%s", directory, name);
}

static void
read_back(struct file *f)
{
	FILE *file = fopen(f->path, "r");

	assert_non_null(file);
	f->length = fread(f->data, 1, sizeof f->data, file);
	assert_int_equal(fclose(file), 0);
	assert_in_range(f->length, 100, sizeof f->data - 1);
}

static void
write_other(const char *data, size_t length)
{
	FILE *file = fopen(other_file.path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static bool
load(const struct file *chain, const struct file *key)
{
	struct text error;

	text_init(&error, message, sizeof message - 1);
	bool loaded = cert_load(&cert, chain->path, key->path, &error);
	assert_false(error.overflow);
	assert_int_equal(error.length == 0, loaded);
	message[error.length] = '\0';
	return loaded;
}

static void
make(char *name)
{
	struct text output;

	text_init(&output, message, sizeof message - 1);
	int status = authority_issue(cert_file.path, key_file.path, &name, 1, &output);
	message[output.length] = '\0';
	if (status != 0)
		fail_msg("%s", message);
}

static int
make_pair(void **state)
{
	const char *where = getenv("TMPDIR");
	char name[] = "example.org";

	(void)state;
	snprintf(directory, sizeof directory, "%s/cert_test.XXXXXX",
		 where != NULL ? where : "/tmp");
	if (mkdtemp(directory) == NULL)
		return -1;
	set_path(&cert_file, "cert");
	set_path(&key_file, "key");
	set_path(&other_file, "other");
	make(name);
	read_back(&cert_file);
	read_back(&key_file);
	return 0;
}

static int
remove_pair(void **state)
{
	(void)state;
	unlink(cert_file.path);
	unlink(key_file.path);
	unlink(other_file.path);
	return rmdir(directory);
}

static bool
is_zero(const void *data, size_t length)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < length; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void
assert_nothing_loaded(void)
{
	assert_int_equal(cert.count, 0);
	assert_int_equal(cert.key_type, 0);
	assert_true(is_zero(&cert.key, sizeof cert.key));
	assert_true(is_zero(&cert.decoder, sizeof cert.decoder));
}

static void
a_created_pair_loads(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(load(&cert_file, &key_file));
		assert_int_equal(cert.count, 2);
		assert_ptr_equal(cert.chain[0].data, cert.data);
		assert_int_equal(cert.key_type, BR_KEYTYPE_EC);
		assert_int_equal(cert.issuer_key_type, BR_KEYTYPE_EC);
		assert_int_equal(cert.key.ec.curve, BR_EC_secp256r1);
		assert_int_equal(cert.key.ec.xlen, 32);
	}
}

static void
a_failed_load_unloads_the_previous_pair(void **state)
{
	(void)state;
	assert_true(load(&cert_file, &key_file));
	assert_false(load(&cert_file, &cert_file));
	assert_nothing_loaded();
	assert_true(load(&cert_file, &key_file));
	assert_false(load(&other_file, &key_file));
	assert_nothing_loaded();
	assert_true(load(&cert_file, &key_file));
	cert_wipe(&cert);
	assert_nothing_loaded();
}

/* The buffer for the error may be too small. */
static void
a_load_fails_even_without_space_for_the_error(void **state)
{
	char data[4];
	struct text error;

	(void)state;
	text_init(&error, data, sizeof data);
	assert_false(cert_load(&cert, key_file.path, cert_file.path, &error));
	assert_true(error.overflow);
	assert_nothing_loaded();
}

extern const char __bss_start[], _end[];

/*
 * Counts the occurrences of some bytes in the program's static memory, including the gaps
 * that the sanitizer adds.
 */
__attribute__((no_sanitize("address"))) static unsigned
count_static(const char *needle, size_t length)
{
	unsigned count = 0;

	for (const char *p = __bss_start; p + length <= _end; p++) {
		size_t i = 0;
		while (i < length && p[i] == needle[i])
			i++;
		count += i == length;
	}
	return count;
}

static void
the_text_of_the_key_is_erased_from_memory(void **state)
{
	const char *line = strchr(key_file.data, '\n') + 1;

	(void)state;
	/* The only one is in `key_file`. */
	assert_int_equal(count_static(line, 40), 1);
	assert_true(load(&cert_file, &key_file));
	assert_int_equal(count_static(line, 40), 1);
	assert_true(count_static((const char *)cert.key.ec.x, 32) == 1);
	/* The same if the certificate's file contains the key. */
	assert_false(load(&key_file, &key_file));
	assert_int_equal(count_static(line, 40), 1);
}

static void
no_truncated_file_loads(void **state)
{
	static const char end[] = "-----END CERTIFICATE-----";
	const char *first = strstr(cert_file.data, end);

	(void)state;
	assert_non_null(first);
	size_t at = (size_t)(first - cert_file.data) + strlen(end);
	size_t second = at + strlen("\n-----BEGIN C");
	/* The last byte is a line end, which is optional. */
	for (size_t i = 0; i < cert_file.length - 1; i++) {
		write_other(cert_file.data, i);
		/* Only between the two certificates, the first one alone. */
		assert_int_equal(load(&other_file, &key_file), i >= at && i < second);
		assert_int_equal(cert.count, i >= at && i < second);
	}
	for (size_t i = 0; i < key_file.length - 1; i++) {
		write_other(key_file.data, i);
		assert_false(load(&cert_file, &other_file));
		assert_nothing_loaded();
	}
	write_other(key_file.data, key_file.length - 1);
	assert_true(load(&cert_file, &other_file));
}

static uint32_t
next_random(void)
{
	static uint32_t x = 2463534242;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* Copies the data, with up to four bytes changed anywhere. */
static void
damage_bytes(void *out, const void *data, size_t length)
{
	char *changed = out;

	memcpy(changed, data, length);
	for (uint32_t i = next_random() % 4 + 1; i > 0; i--)
		changed[next_random() % length] = (char)next_random();
}

static size_t
damage(char *out, const struct file *f)
{
	damage_bytes(out, f->data, f->length);
	return f->length;
}

/* After damage either the same key loads or none. */
static void
a_damaged_key_does_not_load_as_a_different_key(void **state)
{
	char changed[PEM];
	unsigned char x[32];

	(void)state;
	assert_true(load(&cert_file, &key_file));
	memcpy(x, cert.key.ec.x, sizeof x);
	for (unsigned i = 0; i < 3000; i++) {
		write_other(changed, damage(changed, &key_file));
		if (load(&cert_file, &other_file)) {
			assert_int_equal(cert.key.ec.xlen, sizeof x);
			assert_memory_equal(cert.key.ec.x, x, sizeof x);
		} else {
			assert_nothing_loaded();
		}
	}
}

/* Clients check the signature.  The server must not read past the end. */
static void
a_damaged_certificate_is_handled_safely(void **state)
{
	char changed[PEM];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		write_other(changed, damage(changed, &cert_file));
		if (load(&other_file, &key_file)) {
			assert_in_range(cert.count, 1, 2);
			assert_in_range(cert.chain[0].data_len, 200, PEM);
		}
	}
}

/* The block ends exactly at the end of the file. */
static void
any_bytes_in_a_block_are_handled_safely(void **state)
{
	static const char *const labels[] = { "CERTIFICATE", "PRIVATE KEY",
					      "EC PRIVATE KEY", "RSA PRIVATE KEY" };
	unsigned char der[256];
	char pem[1024];

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		const char *label = labels[i % 4];
		size_t length = next_random() % sizeof der;
		for (size_t j = 0; j < length; j++)
			der[j] = (unsigned char)next_random();
		if (length > 4) {
			der[0] = 0x30;
			der[1] = 0x82;
			der[2] = (unsigned char)((length - 4) >> 8);
			der[3] = (unsigned char)(length - 4);
		}
		if (length > 8 && i % 8 < 4)
			memcpy(der + 4, "\2\1\0\x30", 4);
		size_t written = br_pem_encode(pem, der, length, label, 0);
		write_other(pem, written - 1);
		assert_false(load(&other_file, i % 4 == 0 ? &key_file : &other_file));
		assert_false(load(&cert_file, &other_file));
	}
}

static bool
names(const char *name)
{
	return cert_has_name(&cert, (struct span){ name, strlen(name) });
}

static void
the_names_of_the_certificate_match(void **state)
{
	(void)state;
	assert_true(load(&cert_file, &key_file));
	assert_true(names("example.org"));
	assert_true(names("EXAMPLE.org"));
	assert_false(names("example.or"));
	assert_false(names("example.orgg"));
	assert_false(names("a.example.org"));
	assert_false(names(""));
	cert_wipe(&cert);
	assert_false(names("example.org"));
}

/* Exactly sized memory lets the sanitizer detect any access past its end. */
static bool
der_names(const unsigned char *der, size_t length, const char *name)
{
	unsigned char *copy = malloc(length);

	assert_non_null(copy);
	memcpy(copy, der, length);
	cert.count = 1;
	cert.chain[0] = (br_x509_certificate){ copy, length };
	bool named = names(name);
	free(copy);
	cert_wipe(&cert);
	return named;
}

/* Builds a Certificate with these bytes as its extensions. */
static bool
extensions_name(const char *extensions, size_t length, const char *name)
{
	unsigned char der[128] = { 0x30, 0, 0x30, 0, 2, 1, 1, 0xa3, 0, 0x30, 0 };
	enum { HEAD = 11 };

	memcpy(der + HEAD, extensions, length);
	der[HEAD - 1] = (unsigned char)length;
	der[HEAD - 3] = (unsigned char)(length + 2);
	der[3] = (unsigned char)(length + 7);
	der[1] = (unsigned char)(length + 9);
	return der_names(der, HEAD + length, name);
}

#define OTHER	 "\x30\x09\x06\x03\x55\x1d\x13\x04\x02\x30\x00"
#define NAMES	 "\x30\x10\x06\x03\x55\x1d\x11\x04\x09\x30\x07"
#define CRITICAL "\x30\x13\x06\x03\x55\x1d\x11\x01\x01\xff\x04\x09\x30\x07"

static void
names_are_read_from_subject_alt_name_only(void **state)
{
	static const struct {
		const char *extensions;
		size_t length;
		bool named;
	} cases[] = {
#define CASE(extensions, named) { extensions, sizeof extensions - 1, named }
		CASE(NAMES "\x82\x05"
			   "a.net",
		     true),
		CASE(CRITICAL "\x82\x05"
			      "a.net",
		     true),
		CASE(OTHER NAMES "\x82\x05"
				 "a.net",
		     true),
		CASE(OTHER NAMES "\x82\x05"
				 "b.net" NAMES "\x82\x05"
				 "*.net",
		     true),
		CASE(NAMES "\x82\x00\x82\x03"
			   "net",
		     false),
		CASE(NAMES "\x81\x05"
			   "a.net",
		     false), /* rfc822Name */
		CASE(NAMES "\x86\x05"
			   "a.net",
		     false), /* a URI */
		CASE(NAMES "\x82\x06"
			   "a.net",
		     false), /* longer than its list */
		CASE(NAMES "\x82\x04"
			   "a.net",
		     false),
		CASE(OTHER, false),
		CASE("", false),
		/* issuerAltName */
		CASE("\x30\x10\x06\x03\x55\x1d\x12\x04\x09\x30\x07\x82\x05"
		     "a.net",
		     false),
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(
		    extensions_name(cases[i].extensions, cases[i].length, "a.net"),
		    cases[i].named);
	assert_false(extensions_name(NAMES "\x82\x05"
					   "*.net",
				     18, "net"));
	assert_false(extensions_name(NAMES "\x82\x05"
					   "*.net",
				     18, ".net"));
	assert_false(extensions_name(NAMES "\x82\x05"
					   "*.net",
				     18, "a.b.net"));
	assert_false(extensions_name(NAMES "\x82\x05"
					   "a\0net",
				     18, "a"));
}

static void
names_of_a_damaged_certificate_are_read_within_its_bounds(void **state)
{
	unsigned char der[PEM], changed[PEM];

	(void)state;
	assert_true(load(&cert_file, &key_file));
	size_t length = cert.chain[0].data_len;
	memcpy(der, cert.data, length);
	assert_true(der_names(der, length, "example.org"));
	for (size_t i = 1; i < length; i++)
		assert_false(der_names(der, i, "example.org"));
	for (unsigned i = 0; i < 20000; i++) {
		damage_bytes(changed, der, length);
		der_names(changed, length, "example.org");
	}
}

/* Reads the Validity of a certificate in exactly sized memory. */
static bool
der_validity(const unsigned char *der, size_t length, struct cert_validity *v)
{
	unsigned char *copy = malloc(length);

	assert_non_null(copy);
	memcpy(copy, der, length);
	cert.count = 1;
	cert.chain[0] = (br_x509_certificate){ copy, length };
	bool read = cert_validity(&cert, 0, v);
	free(copy);
	cert_wipe(&cert);
	return read;
}

/* Builds a Certificate with a version or without, and with these bytes as its Validity.
 */
static bool
dates(bool version, const char *validity, size_t length, struct cert_validity *v)
{
	static const unsigned char v3[] = { 0xa0, 3, 2, 1, 2 };
	unsigned char der[128] = { 0x30, 0, 0x30, 0 };
	size_t used = 4;

	if (version) {
		memcpy(der + used, v3, sizeof v3);
		used += sizeof v3;
	}
	/* serialNumber, signature, issuer */
	memcpy(der + used, "\2\1\1\x30\0\x30\0\x30", 8);
	used += 8;
	der[used++] = (unsigned char)length;
	memcpy(der + used, validity, length);
	used += length;
	der[3] = (unsigned char)(used - 4);
	der[1] = (unsigned char)(used - 2);
	return der_validity(der, used, v);
}

#define UTC(text)     "\x17\x0d" text
#define GENERAL(text) "\x18\x0f" text
#define FROM	      UTC("200101000000Z")

static void
dates_are_read_as_utc_time_and_generalized_time(void **state)
{
	static const struct {
		const char *validity;
		size_t length;
		uint64_t from, to;
	} cases[] = {
#define DATES(validity, from, to) { validity, sizeof validity - 1, from, to }
		DATES(FROM UTC("261203084937Z"), 1577836800, 1796287777),
		DATES(UTC("491231235959Z") UTC("500101000000Z"), 2524607999, 0),
		DATES(UTC("691231235959Z") UTC("700101000001Z"), 0, 1),
		DATES(UTC("991231235959Z") GENERAL("20000301000000Z"), 946684799,
		      951868800),
		DATES(GENERAL("20240229120000Z") GENERAL("20500101000000Z"), 1709208000,
		      2524608000),
		DATES(GENERAL("00000101000000Z") GENERAL("99991231235959Z"), 0,
		      UINT64_C(253402300799)),
		DATES(GENERAL("21000228235959Z") GENERAL("24000229235959Z"),
		      UINT64_C(4107542399), UINT64_C(13574649599)),
	};
	struct cert_validity v;

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
		assert_true(
		    dates(i % 2 == 0, cases[i / 2].validity, cases[i / 2].length, &v));
		assert_true(v.not_before == cases[i / 2].from);
		assert_true(v.not_after == cases[i / 2].to);
	}
}

static void
invalid_dates_are_not_read(void **state)
{
	static const struct {
		const char *validity;
		size_t length;
	} cases[] = {
#define INVALID(validity) { validity, sizeof validity - 1 }
		INVALID(""),
		INVALID(FROM),
		INVALID(FROM "\x17"),
		INVALID(FROM "\x17\x00"),
		INVALID(FROM "\x17\x0e"
			     "261203084937Z"), /* longer than the rest */
		INVALID(FROM "\x17\x0c"
			     "261203084937"),
		INVALID(FROM "\x17\x0b"
			     "2612030849Z"), /* no seconds */
		INVALID(FROM "\x17\x11"
			     "261203084937+0100"),
		INVALID(FROM "\x17\x0e"
			     "261203084937ZZ"),
		INVALID(FROM "\x17\x0f"
			     "20261203084937Z"),
		INVALID(FROM "\x18\x0d"
			     "261203084937Z"),
		INVALID(FROM "\x18\x11"
			     "20261203084937.5Z"),
		INVALID(FROM "\x16\x0d"
			     "261203084937Z"),
		INVALID(FROM UTC("261203084937z")),
		INVALID(FROM UTC("2612030849 7Z")),
		INVALID(FROM UTC("2612030849-7Z")),
		INVALID(FROM UTC("260003084937Z")),
		INVALID(FROM UTC("261303084937Z")),
		INVALID(FROM UTC("261200084937Z")),
		INVALID(FROM UTC("261232084937Z")),
		INVALID(FROM UTC("261203244937Z")),
		INVALID(FROM UTC("261203086037Z")),
		INVALID(FROM UTC("261203084960Z")),
		INVALID(UTC("261303084937Z") FROM),
	};
	struct cert_validity v;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (dates(true, cases[i].validity, cases[i].length, &v))
			fail_msg("case %zu", i);
}

static void
dates_of_a_damaged_certificate_are_read_within_its_bounds(void **state)
{
	unsigned char der[PEM], changed[PEM];
	struct cert_validity v;
	unsigned read = 0;

	(void)state;
	assert_true(load(&cert_file, &key_file));
	assert_true(cert_validity(&cert, 0, &v));
	assert_false(cert_validity(&cert, 2, &v));
	assert_true(v.not_after - v.not_before == UINT64_C(825) * 86400 - 1);
	size_t length = cert.chain[0].data_len;
	memcpy(der, cert.data, length);
	for (size_t i = 1; i < length; i++)
		assert_false(der_validity(der, i, &v));
	for (unsigned i = 0; i < 20000; i++) {
		damage_bytes(changed, der, length);
		if (der_validity(changed, length, &v)) {
			read++;
			assert_true(v.not_before <= UINT64_C(253402300799) &&
				    v.not_after <= UINT64_C(253402300799));
		}
	}
	assert_in_range(read, 1, 19999);
}

/* Puts two certificates into `other`, and finds the authority among them. */
static bool
der_authority(const unsigned char *first, size_t first_length, const unsigned char *last,
	      size_t length)
{
	static struct cert other;
	struct span der;
	unsigned char *copy = malloc(length);

	assert_non_null(copy);
	memcpy(copy, last, length);
	memcpy(other.data, first, first_length);
	other.count = 2;
	other.chain[0] = (br_x509_certificate){ other.data, first_length };
	other.chain[1] = (br_x509_certificate){ copy, length };
	bool found = cert_authority(&other, &der);
	if (found)
		assert_memory_equal(der.data, last, length);
	free(copy);
	return found;
}

static void
the_authority_is_a_last_certificate_that_is_its_own_issuer(void **state)
{
	unsigned char changed[PEM];
	struct span der;

	(void)state;
	assert_true(load(&cert_file, &key_file));
	const br_x509_certificate *leaf = &cert.chain[0], *ca = &cert.chain[1];
	assert_true(cert_authority(&cert, &der));
	assert_ptr_equal(der.data, ca->data);
	assert_int_equal(der.length, ca->data_len);
	/* No CA; the server's own certificate; alone. */
	assert_false(der_authority(ca->data, ca->data_len, leaf->data, leaf->data_len));
	assert_false(der_authority(ca->data, ca->data_len, ca->data, ca->data_len));
	cert.count = 1;
	assert_false(cert_authority(&cert, &der));
	cert.count = 0;
	assert_false(cert_authority(&cert, &der));
	for (size_t i = 1; i < ca->data_len; i++)
		assert_false(der_authority(leaf->data, leaf->data_len, ca->data, i));
	/* One byte of the issuer differs from the subject. */
	memcpy(changed, ca->data, ca->data_len);
	for (size_t i = 0; i < ca->data_len - 6; i++)
		if (memcmp(changed + i, "videre", 6) == 0) {
			changed[i]++;
			break;
		}
	assert_false(der_authority(leaf->data, leaf->data_len, changed, ca->data_len));
	for (unsigned i = 0; i < 20000; i++) {
		damage_bytes(changed, ca->data, ca->data_len);
		der_authority(leaf->data, leaf->data_len, changed, ca->data_len);
	}
}

static void
existing_files_are_not_overwritten(void **state)
{
	char name[] = "example.org", *names[] = { name }, text[PEM];
	struct text output;
	size_t length = key_file.length;

	(void)state;
	memcpy(text, key_file.data, length);
	text_init(&output, message, sizeof message);
	assert_int_equal(
	    authority_issue(cert_file.path, key_file.path, names, 1, &output), 1);
	read_back(&key_file);
	assert_int_equal(key_file.length, length);
	assert_memory_equal(key_file.data, text, length);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_created_pair_loads),
		cmocka_unit_test(a_failed_load_unloads_the_previous_pair),
		cmocka_unit_test(a_load_fails_even_without_space_for_the_error),
		cmocka_unit_test(the_text_of_the_key_is_erased_from_memory),
		cmocka_unit_test(no_truncated_file_loads),
		cmocka_unit_test(a_damaged_key_does_not_load_as_a_different_key),
		cmocka_unit_test(a_damaged_certificate_is_handled_safely),
		cmocka_unit_test(any_bytes_in_a_block_are_handled_safely),
		cmocka_unit_test(the_names_of_the_certificate_match),
		cmocka_unit_test(names_are_read_from_subject_alt_name_only),
		cmocka_unit_test(
		    names_of_a_damaged_certificate_are_read_within_its_bounds),
		cmocka_unit_test(dates_are_read_as_utc_time_and_generalized_time),
		cmocka_unit_test(invalid_dates_are_not_read),
		cmocka_unit_test(
		    dates_of_a_damaged_certificate_are_read_within_its_bounds),
		cmocka_unit_test(
		    the_authority_is_a_last_certificate_that_is_its_own_issuer),
		cmocka_unit_test(existing_files_are_not_overwritten),
	};

	return cmocka_run_group_tests_name("cert", tests, make_pair, remove_pair);
}
