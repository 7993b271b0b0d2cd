#include "renewal.h"

#include "log.h"
#include "pollset.h"
#include "secrets.h"

#include <string.h>
#include <time.h>

enum {
	WARN_DAYS = 30,	  /* before the end of a certificate */
	CHECK_S = 3000,	  /* between two checks of the dates; a wait can add an hour */
	NEVER = INT32_MIN /* in place of a number of days */
};

static struct {
	const struct conf *conf;
	struct cert certs[2]; /* the certificate in use, and the one to load next */
	unsigned in_use;
	bool requested;
	int32_t days;	     /* until the end of the chain, at the last check */
	uint64_t next_check; /* microseconds, as pollset_woken_at */
	struct renewal_counters counters;
} renewal;

const struct renewal_counters *
renewal_count(void)
{
	return &renewal.counters;
}

static struct text *
begin_warning(void)
{
	return log_begin(LEVEL_WARN, (struct span){ 0 });
}

/*
 * Dates
 */

static uint64_t
unix_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0;
}

int32_t
renewal_days(uint64_t time, uint64_t now)
{
	/* With a 32-bit division: 86400 is 128 * 675. */
	return now <= time ? (int32_t)((uint32_t)((time - now) >> 7) / 675)
			   : ~(int32_t)((uint32_t)((now - time - 1) >> 7) / 675);
}

static void
put_days(struct text *t, int32_t days)
{
	if (days == 0) {
		text_string(t, "less than a day");
		return;
	}
	text_number(t, (uint32_t)days);
	text_string(t, days == 1 ? " day" : " days");
}

static void
put_date(struct text *t, uint64_t time)
{
	text_iso_time(t, time);
	t->length -= sizeof "T00:00:00" - 1;
}

/* A clock that is not set shows nothing. */
static bool
is_at_fault(const struct cert_validity *v, uint64_t now)
{
	return now >= TEXT_RELEASED &&
	       (now < v->not_before || renewal_days(v->not_after, now) < WARN_DAYS);
}

bool
renewal_put_dates(struct text *t, const struct cert_validity *v, uint64_t now)
{
	int32_t left = renewal_days(v->not_after, now);
	bool expired = left < 0;

	if (!is_at_fault(v, now))
		return false;
	if (now < v->not_before) {
		text_string(t, "not valid before ");
		put_date(t, v->not_before);
		text_string(t, ", ");
		put_days(t, renewal_days(v->not_before, now));
		text_string(t, " from now");
		return true;
	}
	text_string(t, expired ? "expired " : "expires in ");
	put_days(t, expired ? ~left : left);
	text_string(t, expired ? " ago: " : ": ");
	put_date(t, v->not_after);
	return true;
}

static void
log_dates(size_t index, const struct cert_validity *v, uint64_t now)
{
	struct text *t;

	if (!is_at_fault(v, now) || (t = begin_warning()) == NULL)
		return;
	if (index > 0)
		text_string(t, "intermediate ");
	text_string(t, "certificate ");
	if (index > 0) {
		text_number(t, index);
		text_char(t, ' ');
	}
	renewal_put_dates(t, v, now);
	text_string(t, " (Cert ");
	text_string(t, renewal.conf->cert);
	text_char(t, ')');
	log_end();
}

/*
 * Logs which certificates are at fault, if the days until the end of the chain are others
 * than at the last check: so once a day.
 */
static void
check_dates(void)
{
	const struct cert *c = &renewal.certs[renewal.in_use];
	uint64_t now = unix_time();
	int32_t days = renewal_days(renewal.counters.not_after, now);
	struct cert_validity v, first = { 0, UINT64_MAX };

	if (days == renewal.days)
		return;
	renewal.days = days;
	for (size_t i = 0; i < c->count; i++) {
		if (!cert_validity(c, i, &v))
			continue;
		if (i == 0)
			first = v;
		/* An issuer with the same dates would only repeat the line. */
		if (i == 0 || v.not_after < first.not_after ||
		    v.not_before > first.not_before)
			log_dates(i, &v, now);
	}
}

/* Sets the end of the chain: the earliest of all certificates. */
static void
read_dates(void)
{
	const struct cert *c = &renewal.certs[renewal.in_use];
	uint64_t *end = &renewal.counters.not_after;
	struct cert_validity v;

	*end = 0;
	renewal.days = NEVER;
	for (size_t i = 0; i < c->count; i++)
		if (cert_validity(c, i, &v) && (*end == 0 || v.not_after < *end))
			*end = v.not_after;
}

/*
 * Loading
 */

/* Logs a warning if the key is slow, or readable by every user. */
static void
check_key(void)
{
	const struct cert *cert = &renewal.certs[renewal.in_use];
	size_t bits = cert->key_type == BR_KEYTYPE_RSA ? cert->key.rsa.n_bitlen : 0;
	struct text *t;

	if (bits > CERT_RSA_BITS_MIN && (t = begin_warning()) != NULL) {
		text_string(t, "slow TLS handshakes: Key is RSA with ");
		text_number(t, bits);
		text_string(t, " bits, use P-256 or RSA with 2048 bits");
		log_end();
	}
	if (cert->key_exposed && (t = begin_warning()) != NULL) {
		text_string(t, "private key readable by every user: chmod 640 ");
		text_string(t, renewal.conf->key);
		text_string(t, " (Key)");
		log_end();
	}
}

void
renewal_warn(void)
{
	if (!renewal.conf->tls)
		return;
	const struct conf *conf = renewal.conf;
	if (strcmp(conf->cert, conf->key) != 0)
		secrets_check_access(conf, conf->cert, "Cert");
	secrets_check_access(conf, conf->key, "Key");
	check_key();
	check_dates();
}

bool
renewal_load(const struct conf *conf, struct text *error)
{
	renewal.conf = conf;
	if (!conf->tls)
		return true;
	if (*conf->cert == '\0' || *conf->key == '\0') {
		text_string(error,
			    "TLS needs Cert and Key: set each to the name of a PEM file");
		return false;
	}
	if (!cert_load(&renewal.certs[0], conf->cert, conf->key, error))
		return false;
	read_dates();
	return true;
}

void
renewal_start(const uint8_t seed[TLS_SEED])
{
	tls_start(&renewal.certs[renewal.in_use], seed);
}

/* Loads the certificate again.  On failure the certificate in use does not change. */
static void
load_again(void)
{
	const struct conf *conf = renewal.conf;
	struct cert *next = &renewal.certs[!renewal.in_use];
	char data[512];
	struct text error;

	text_init(&error, data, sizeof data);
	bool loaded = cert_load(next, conf->cert, conf->key, &error);
	secrets_log_reload("certificate", loaded, &error);
	if (loaded) {
		renewal.in_use = !renewal.in_use;
		renewal.counters.reloads++;
		tls_renew(next);
		read_dates();
		check_key();
	} else {
		renewal.counters.failures++;
		renewal.days = NEVER;
	}
	check_dates();
}

void
renewal_request(void)
{
	renewal.requested = renewal.conf->tls;
}

void
renewal_wakeup(void)
{
	if (renewal.requested && tls_may_renew()) {
		renewal.requested = false;
		load_again();
	}
	if (renewal.conf->tls && pollset_woken_at() >= renewal.next_check) {
		renewal.next_check = pollset_woken_at() + (uint64_t)CHECK_S * 1000000;
		check_dates();
	}
}
