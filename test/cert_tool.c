/*
 * Runs cert.c and authority.c on files of cert.test.mjs.
 *
 *     cert_tool load CERT KEY ...         for each pair a line: the key's kind and size,
 * the kind of the issuer's key, and the SHA-256 of each certificate; or "error" and why
 *     cert_tool dates CERT KEY            for each certificate the two Unix times between
 *         which it is valid
 *     cert_tool make CERT KEY [NAME...]   the output of authority_issue; the clock is
 * $NOW (seconds) if set
 */
#include "cert.h"
#include "authority.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Replaces libc's, so that $NOW sets the time. */
int
clock_gettime(clockid_t clock, struct timespec *now)
{
	const char *set = getenv("NOW");

	(void)clock;
	*now = (struct timespec){ .tv_sec = set != NULL ? atoll(set) : time(NULL) };
	return 0;
}

static void
print_dates(const struct cert *c)
{
	struct cert_validity v;

	for (size_t i = 0; cert_validity(c, i, &v); i++)
		printf("%llu %llu\n", (unsigned long long)v.not_before,
		       (unsigned long long)v.not_after);
}

static const char *
kind(int type)
{
	return type == BR_KEYTYPE_RSA ? "RSA" : type == BR_KEYTYPE_EC ? "EC" : "other";
}

static void
print(const struct cert *c)
{
	br_sha256_context context;
	unsigned char hash[br_sha256_SIZE];
	unsigned size = c->key_type == BR_KEYTYPE_RSA ? (unsigned)c->key.rsa.n_bitlen
						      : (unsigned)c->key.ec.curve;

	printf("%s %u %s", kind(c->key_type), size, kind(c->issuer_key_type));
	for (size_t i = 0; i < c->count; i++) {
		br_sha256_init(&context);
		br_sha256_update(&context, c->chain[i].data, c->chain[i].data_len);
		br_sha256_out(&context, hash);
		putchar(' ');
		for (size_t j = 0; j < sizeof hash; j++)
			printf("%02x", hash[j]);
	}
	putchar('\n');
}

int
main(int argc, char **argv)
{
	static struct cert cert;
	static char data[16384];
	struct text said;

	if (argc < 4)
		return 2;
	if (strcmp(argv[1], "make") == 0) {
		text_init(&said, data, sizeof data);
		int status = authority_issue(argv[2], argv[3], argv + 4,
					     (size_t)(argc - 4), &said);
		printf("%.*s\n", (int)said.length, data);
		return status;
	}
	if (strcmp(argv[1], "dates") == 0) {
		text_init(&said, data, sizeof data);
		if (!cert_load(&cert, argv[2], argv[3], &said))
			return 1;
		print_dates(&cert);
		return 0;
	}
	for (int i = 2; i + 1 < argc; i += 2) {
		text_init(&said, data, sizeof data);
		if (cert_load(&cert, argv[i], argv[i + 1], &said))
			print(&cert);
		else
			printf("error %.*s\n", (int)said.length, data);
	}
	return 0;
}
