/*
 * What token.c does, for tests that have tokens made elsewhere.  Reads lines of
 *
 *     ROOM USER TOKEN
 *
 * and prints for each the error, or "valid" and the token's exp, room and sub.  "-" is
 * any room or user.  The secrets are those of the file that is the argument, the time
 * is $NOW if set.
 */
#include "token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_claim(struct span claim)
{
	if (claim.data == NULL)
		printf(" -");
	else
		printf(" %.*s", (int)claim.length, claim.data);
}

int
main(int argc, char **argv)
{
	static char line[8192], data[512];
	struct token_secrets secrets = { 0 };
	struct token_claims claims;
	struct text error;
	const char *set = getenv("NOW");
	uint64_t now = set != NULL ? strtoull(set, NULL, 10) : token_now();

	text_init(&error, data, sizeof data);
	if (argc != 2 || !token_load(&secrets, argv[1], &error)) {
		fprintf(stderr, "%.*s\n", (int)error.length, data);
		return 1;
	}
	while (fgets(line, sizeof line, stdin) != NULL) {
		const char *words[3] = { strtok(line, " \n"), strtok(NULL, " \n"),
					 strtok(NULL, " \n") };
		struct span s[3];
		for (size_t i = 0; i < 3; i++)
			s[i] = (struct span){ words[i],
					      words[i] != NULL ? strlen(words[i]) : 0 };
		enum token_error e =
		    token_check(&secrets, s[2], span_is(s[0], "-") ? NULL : &s[0],
				span_is(s[1], "-") ? NULL : &s[1], now, &claims);
		printf("%s", e == TOKEN_VALID ? "valid" : token_errors[e]);
		if (e == TOKEN_VALID) {
			printf(" %" PRIu64, claims.expires);
			print_claim(claims.room);
			print_claim(claims.user);
		}
		putchar('\n');
	}
	return 0;
}
