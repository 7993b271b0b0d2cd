#include "report.h"

#include "conn.h"
#include "http.h"
#include "log.h"

#include <string.h>

enum {
	INTERVAL_MS = 60000, /* minimum time between two lines of a kind */
	VALUE = 64,	     /* maximum size of a value, in bytes */
	CLIENT = 64	     /* bytes for the longest address with a port */
};

/* The refusals of a kind since its last line. */
struct gathered {
	uint32_t count;
	bool is_logged;	    /* the kind has had a line */
	uint64_t logged_at; /* millisecond of the last one */
	/* The last refusal: */
	uint8_t client_length, value_length;
	bool is_cut; /* the value was longer */
	char client[CLIENT];
	char value[VALUE];
};

static struct {
	struct gathered kinds[REPORT_KINDS];
	uint32_t waiting; /* kinds with refusals that are not logged yet */
} reports;

/* In the order of enum report_kind, each with its NUL. */
static const char texts[] =
    "refused: too many connections or sessions (MaxConnections)\0"
    "refused: too many connections or sessions from one address (MaxPerAddress)\0"
    "refused: too many connections or sessions from one address that sends "
    "X-Forwarded-For (MaxPerAddress, or TrustedProxies if it is a proxy of yours)\0"
    "refused: /health or /metrics for an address that is not listed (Monitor)\0"
    "refused: /health or /metrics with a Host that is not an address, localhost or a "
    "name of the certificate (Cert)\0"
    "refused: head of a request, or a field in it, too large: 16384 bytes at most, often "
    "because of cookies\0"
    "refused: Host that is not a name or address with an optional port\0"
    "refused: Origin that is not listed (Origins)\0"
    "refused: room is full (MaxPeers)\0"
    "closed with 4001: another client has connected as the same user (UserId)\0"
    "refused: clients connect as the same user again and again (UserId)\0"
    "refused: path that has no service, page or script here (Prefix, Page, SockJS)\0"
    "refused: message that is too big (MaxPacket)";

_Static_assert(HTTP_HEAD_SIZE == 16384, "the number in the text of REPORT_HEAD");

static void
log_gathered(unsigned kind)
{
	struct gathered *g = &reports.kinds[kind];
	struct text *t = log_begin(LEVEL_WARN, (struct span){ 0 });
	const char *what = texts;

	for (unsigned i = 0; i < kind; i++)
		what += strlen(what) + 1;
	if (t != NULL) {
		text_string(t, what);
		text_string(t, ": ");
		text_number(t, g->count);
		text_string(t, " in the last minute");
		if (g->client_length > 0)
			text_string(t, ", such as ");
		text_put(t, g->client, g->client_length);
		if (g->value_length > 0)
			text_string(t, " with ");
		if (g->value_length > 0)
			text_quoted(t, (struct span){ g->value, g->value_length }, VALUE);
		text_string(t, g->is_cut ? "..." : "");
		log_end();
	}
	*g = (struct gathered){ .is_logged = true, .logged_at = conn_milliseconds() };
	reports.waiting &= ~(UINT32_C(1) << kind);
}

static void
log_due(unsigned kind)
{
	const struct gathered *g = &reports.kinds[kind];

	if (g->count > 0 &&
	    (!g->is_logged || conn_milliseconds() - g->logged_at >= INTERVAL_MS))
		log_gathered(kind);
}

void
report(enum report_kind kind, struct span client, struct span value)
{
	struct gathered *g = &reports.kinds[kind];
	size_t shown = kind == REPORT_PATH ? text_public_length(value) : value.length;

	g->count++;
	if (client.length > 0 && client.length <= CLIENT) {
		g->is_cut = shown > VALUE || shown < value.length;
		g->client_length = (uint8_t)client.length;
		g->value_length = (uint8_t)(shown > VALUE ? VALUE : shown);
		memcpy(g->client, client.data, g->client_length);
		if (value.length > 0)
			memcpy(g->value, value.data, g->value_length);
	}
	reports.waiting |= UINT32_C(1) << kind;
	log_due(kind);
}

bool
report_second(void)
{
	for (unsigned kind = 0; reports.waiting != 0 && kind < REPORT_KINDS; kind++)
		log_due(kind);
	return reports.waiting != 0;
}
