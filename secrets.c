#include "secrets.h"

#include "check.h"
#include "log.h"
#include "memory.h"
#include "secret_file.h"

#include <unistd.h>

static struct {
	const struct conf *conf;
	struct token_secrets tokens;
	br_hmac_key_context turn;
} secrets;

const struct token_secrets *
secrets_of_tokens(void)
{
	return *secrets.conf->tokens != '\0' ? &secrets.tokens : NULL;
}

const br_hmac_key_context *
secrets_of_turn(void)
{
	return *secrets.conf->turn_secret != '\0' ? &secrets.turn : NULL;
}

void
secrets_check_access(const struct conf *conf, const char *file, const char *key)
{
	struct text *t;

	if (geteuid() != 0 || *conf->user == '\0')
		return;
	int error = check_access(conf, file, SANDBOX_READ);
	if (error == 0 || (t = log_begin(LEVEL_WARN, (struct span){ 0 })) == NULL)
		return;
	text_string(t, "SIGHUP will not be able to read ");
	text_string(t, file);
	text_string(t, " (");
	text_string(t, key);
	text_string(t, ") as ");
	text_string(t, conf->user);
	text_string(t, ": ");
	text_string(t, text_error(error));
	text_string(t, "; chgrp and chmod 640 it for a group of User, or let the deploy "
		       "hook copy it");
	log_end();
}

void
secrets_log_reload(const char *what, bool loaded, const struct text *error)
{
	struct text *t = log_begin(loaded ? LEVEL_INFO : LEVEL_WARN, (struct span){ 0 });

	if (t == NULL)
		return;
	text_string(t, what);
	text_string(t,
		    loaded ? " loaded" : " not loaded, the previous one stays in use: ");
	if (!loaded)
		text_put(t, error->data, error->length);
	log_end();
}

static bool
load_tokens(const char *file, struct text *error)
{
	return token_load(&secrets.tokens, file, error);
}

static bool
load_turn(const char *file, struct text *error)
{
	const struct secret_file_rule one = { .most = 1, .shortest = 1 };
	struct secret_file read;
	bool valid = secret_file_read(&read, file, one, error);

	if (valid)
		br_hmac_key_init(&secrets.turn, &br_sha1_vtable, read.secrets[0].data,
				 read.secrets[0].length);
	memory_wipe(&read, sizeof read);
	return valid;
}

/* The files: the configuration key, its member of struct conf, and the function that
 * loads the file. */
static const struct {
	const char *key;
	size_t at; /* of the file's name, in struct conf */
	bool (*load)(const char *file, struct text *error);
} files[] = {
	{ "Tokens", offsetof(struct conf, tokens), load_tokens },
	{ "TurnSecret", offsetof(struct conf, turn_secret), load_turn },
};

enum { FILES = sizeof files / sizeof *files };

/* Returns the name of a file; NULL if its key is not set. */
static const char *
file_name(size_t i)
{
	const char *place = (const char *)secrets.conf + files[i].at;
	const char *name = *(const char *const *)(const void *)place;

	return *name != '\0' ? name : NULL;
}

bool
secrets_load(const struct conf *conf, struct text *error)
{
	secrets.conf = conf;
	for (size_t i = 0; i < FILES; i++) {
		if (file_name(i) == NULL || files[i].load(file_name(i), error))
			continue;
		text_string(error, " (");
		text_string(error, files[i].key);
		text_char(error, ')');
		return false;
	}
	return true;
}

void
secrets_warn(void)
{
	for (size_t i = 0; i < FILES; i++)
		if (file_name(i) != NULL)
			secrets_check_access(secrets.conf, file_name(i), files[i].key);
}

void
secrets_reload(void)
{
	char data[512], what[32];
	struct text error, t;

	for (size_t i = 0; i < FILES; i++) {
		if (file_name(i) == NULL)
			continue;
		text_init(&error, data, sizeof data);
		bool loaded = files[i].load(file_name(i), &error);
		text_init(&t, what, sizeof what);
		text_string(&t, "file of ");
		text_string(&t, files[i].key);
		text_char(&t, '\0');
		secrets_log_reload(what, loaded, &error);
	}
}
