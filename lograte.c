#include "lograte.h"
#include "rate.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

/*
 * Rates in bytes.  An address can log a busy minute in one burst.  At its average rate it
 * fills two files of the default LogSize, NAME and NAME.1, in half an hour.  The total
 * rate is 350 MB a day, which erases flash of 128 MB three times.
 */
static const struct rate_limit address_limit = {
	.per_second = 1024, .burst_ms = 32000, /* 32 KB */
};
static const struct rate_limit total_limit = {
	.per_second = 4096, .burst_ms = 64000, /* 256 KB */
};

enum {
	REPORT_INTERVAL_MS = 1000,
	ADDRESS_SIZE = 64 /* bytes of the longest address in a report */
};

static struct {
	bool enabled;
	uint32_t key[2];
	struct rate_table addresses;
	struct rate_bucket total;
	/* The last charge: when it was made, its bucket in `addresses` (NULL: none), and
	 * both buckets before it. */
	uint64_t charged_ms;
	struct rate_bucket *address, address_before, total_before;
	uint64_t reported_ms; /* the time of the last report */
	struct lograte_discarded discarded[LOGRATE_REASONS];
	/* The first address that exceeded its rate since the last report. */
	char first_address[ADDRESS_SIZE];
	size_t first_length;
	bool several_addresses; /* another address has exceeded its rate as well */
} rates;

void
lograte_start(const uint32_t key[2])
{
	memcpy(rates.key, key, sizeof rates.key);
	rates.enabled = true;
}

static uint64_t
monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
lograte_discard(enum lograte_reason reason, unsigned level)
{
	struct lograte_discarded *discarded = &rates.discarded[reason];

	if (discarded->lines++ == 0 || level < discarded->level)
		discarded->level = level;
}

static void
note_address(struct span address)
{
	const struct span first = { rates.first_address, rates.first_length };

	if (rates.discarded[ADDRESS_RATE].lines == 0) {
		rates.first_length =
		    address.length < ADDRESS_SIZE ? address.length : ADDRESS_SIZE;
		memcpy(rates.first_address, address.data, rates.first_length);
		rates.several_addresses = false;
	} else if (!span_same(address, first)) {
		rates.several_addresses = true;
	}
}

static struct span
without_port(struct span peer)
{
	while (peer.length > 0 && peer.data[--peer.length] != ':')
		continue;
	return peer;
}

/*
 * Returns the part of an address that has one rate: all of an IPv4 address, or the first
 * 64 bits of an IPv6 address, since a client can choose the rest.  `network` is for its
 * bytes.
 */
static struct span
network_of(struct span address, unsigned char network[16])
{
	char text[INET6_ADDRSTRLEN];
	struct span inner = { address.data + 1, address.length - 2 };

	if (address.length < 2 || *address.data != '[' || inner.length >= sizeof text)
		return address;
	memcpy(text, inner.data, inner.length);
	text[inner.length] = '\0';
	return inet_pton(AF_INET6, text, network) == 1
		   ? (struct span){ (char *)network, 8 }
		   : address;
}

bool
lograte_charge(struct span peer, unsigned level, uint32_t length)
{
	const struct span address = without_port(peer);
	unsigned char bytes[16];
	const struct span network = network_of(address, bytes);

	rates.address = NULL;
	if (!rates.enabled)
		return true;
	rates.charged_ms = monotonic_ms();
	rates.address = rate_find(&rates.addresses,
				  text_hash(rates.key, network.data, network.length));
	rates.address_before = *rates.address;
	rates.total_before = rates.total;
	if (!rate_take(rates.address, &address_limit, length, rates.charged_ms)) {
		note_address(address);
		lograte_discard(ADDRESS_RATE, level);
		return false;
	}
	if (!rate_take(&rates.total, &total_limit, length, rates.charged_ms)) {
		*rates.address = rates.address_before;
		lograte_discard(TOTAL_RATE, level);
		return false;
	}
	return true;
}

void
lograte_settle(uint32_t length)
{
	if (rates.address == NULL)
		return;
	*rates.address = rates.address_before;
	rates.total = rates.total_before;
	rate_take(rates.address, &address_limit, length, rates.charged_ms);
	rate_take(&rates.total, &total_limit, length, rates.charged_ms);
}

bool
lograte_has_discarded(void)
{
	uint32_t lines = 0;

	for (unsigned reason = 0; reason < LOGRATE_REASONS; reason++)
		lines |= rates.discarded[reason].lines;
	return lines > 0;
}

bool
lograte_report_due(void)
{
	if (!lograte_has_discarded())
		return false;
	uint64_t now = monotonic_ms();
	if (now - rates.reported_ms < REPORT_INTERVAL_MS)
		return false;
	rates.reported_ms = now;
	return true;
}

struct lograte_discarded
lograte_take_discarded(enum lograte_reason reason)
{
	struct lograte_discarded discarded = rates.discarded[reason];

	rates.discarded[reason].lines = 0;
	return discarded;
}

void
lograte_put_reason(struct text *t, enum lograte_reason reason)
{
	uint32_t limit = address_limit.per_second;

	switch (reason) {
	case ADDRESS_RATE:
		text_put(t, rates.first_address, rates.first_length);
		text_string(t, rates.several_addresses ? " and others exceed "
						       : " exceeds ");
		break;
	case TOTAL_RATE:
		text_string(t, "all addresses together exceed ");
		limit = total_limit.per_second;
		break;
	default:
		text_string(t, "the log cannot be written fast enough "
			       "(LogLevel sets how much is written)");
		return;
	}
	text_number(t, limit);
	text_string(t, " bytes/s (LogLevel \"trace\" has no limit)");
}
