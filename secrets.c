#include "secrets.h"

#include "log.h"
#include "sandbox.h"

#include <unistd.h>

static struct {
	const struct conf *conf;
	struct token_secrets tokens;
} secrets;

const struct token_secrets *
secrets_of_tokens(void)
{
	return *secrets.conf->tokens != '\0' ? &secrets.tokens : NULL;
}

void
secrets_check_access(const struct conf *conf, const char *file, const char *key)
{
	uint32_t user, group, groups[CONF_GROUPS_MAX];
	struct text *t;

	if (geteuid() != 0 || *conf->user == '\0' ||
	    !conf_find_user(conf->user, &user, &group))
		return;
	size_t count = conf_find_groups(conf->user, group, groups);
	if (count > CONF_GROUPS_MAX)
		count = CONF_GROUPS_MAX;
	int error = sandbox_try_read(file, user, group, groups, count);
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

bool
secrets_load(const struct conf *conf, struct text *error)
{
	secrets.conf = conf;
	return *conf->tokens == '\0' || token_load(&secrets.tokens, conf->tokens, error);
}

void
secrets_warn(void)
{
	if (*secrets.conf->tokens != '\0')
		secrets_check_access(secrets.conf, secrets.conf->tokens, "Tokens");
}

void
secrets_reload(void)
{
	char data[512];
	struct text error;

	if (*secrets.conf->tokens == '\0')
		return;
	text_init(&error, data, sizeof data);
	bool loaded = token_load(&secrets.tokens, secrets.conf->tokens, &error);
	secrets_log_reload("file of Tokens", loaded, &error);
}
