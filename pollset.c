#define _GNU_SOURCE /* ppoll, POLLRDHUP */
#include "pollset.h"

#include <time.h>

/*
 * poll() costs time for each descriptor, ready or not.  So the slots are in this order:
 *
 *     0           2                  busy_end                      used
 *     | listeners | busy connections | all others                  |
 *
 * A connection with an event becomes busy, and stays so for STAYS_BUSY_MS.  Under load a
 * wait checks only the slots up to busy_end, and every FULL_POLL_MS all of them.  So idle
 * connections cost little, and each is served within FULL_POLL_MS.
 *
 * A wait that sleeps checks all slots.  If there are more than MANY_SLOTS, it first
 * sleeps for the rest of FULL_POLL_MS with the busy ones only, which costs less.
 */
enum {
	FULL_POLL_MS = 10,
	MANY_SLOTS = 256,
	STAYS_BUSY_MS = 100,
	SIGNALS_MS = 10,
	LONGEST_DELAY_MS = 2000 /* of the end of a wait; more counts as this */
};

static struct {
	struct pollfd *polled;
	uint32_t *owners;  /* the connection of each slot */
	uint32_t *slots;   /* the slot of each connection */
	uint32_t *touched; /* the millisecond of its last event, modulo 2^32 */
	uint32_t busy_end, used;
	uint32_t next, end; /* slots that pollset_next has not checked */
	bool complete;

	uint64_t now;			   /* milliseconds */
	uint64_t uncounted_ms;		   /* time that `now` leaves out */
	uint32_t second;		   /* of `now` */
	uint64_t woken_at;		   /* microseconds, including uncounted_ms */
	uint64_t full_poll_at, signals_at; /* milliseconds */
} set = { .busy_end = POLLSET_LISTENERS, .used = POLLSET_LISTENERS };

void
pollset_place(struct memory *m, uint32_t connections)
{
	size_t slots = (size_t)connections + POLLSET_LISTENERS;

	set.polled = memory_take(m, slots, sizeof *set.polled);
	set.owners = memory_take(m, slots, sizeof *set.owners);
	set.slots = memory_take(m, (size_t)connections + 1, sizeof *set.slots);
	set.touched = memory_take(m, (size_t)connections + 1, sizeof *set.touched);
	if (m->base != NULL)
		for (unsigned i = 0; i < POLLSET_LISTENERS; i++)
			set.polled[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
}

/*
 * The clock
 */

static uint64_t
to_microseconds(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint32_t)time->tv_nsec / 1000;
}

uint64_t
pollset_clock(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return to_microseconds(&time);
}

/* `planned` is the limit of the wait, in milliseconds. */
static void
read_clock(uint32_t planned)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	set.woken_at = to_microseconds(&time);
	/* Add a second, because 0 means "never". */
	uint64_t now = ((uint64_t)time.tv_sec + 1) * 1000 +
		       (uint32_t)time.tv_nsec / 1000000 - set.uncounted_ms;
	if (set.now != 0 && now - set.now > planned + LONGEST_DELAY_MS) {
		set.uncounted_ms += now - set.now - LONGEST_DELAY_MS;
		now = set.now + LONGEST_DELAY_MS;
	}
	/* A loop, because 32-bit machines need a library call for a 64-bit division. */
	if (set.now == 0)
		set.second = (uint32_t)time.tv_sec + 1;
	while ((uint64_t)set.second * 1000 + 1000 <= now)
		set.second++;
	set.now = now;
}

void
pollset_start(void)
{
	read_clock(0);
}

uint64_t
pollset_now(void)
{
	return set.now;
}

uint32_t
pollset_second(void)
{
	return set.second;
}

uint64_t
pollset_woken_at(void)
{
	return set.woken_at;
}

/*
 * Slots
 */

static void
move_slot(uint32_t from, uint32_t to)
{
	set.polled[to] = set.polled[from];
	set.owners[to] = set.owners[from];
	set.slots[set.owners[to]] = to;
}

static void
swap_slots(uint32_t a, uint32_t b)
{
	struct pollfd polled = set.polled[a];
	uint32_t owner = set.owners[a];

	if (a == b)
		return;
	move_slot(b, a);
	set.polled[b] = polled;
	set.owners[b] = owner;
	set.slots[owner] = b;
}

void
pollset_set_listener(unsigned listener, int fd)
{
	set.polled[listener].fd = fd;
}

int
pollset_listener(unsigned listener)
{
	return set.polled[listener].fd;
}

void
pollset_watch_listeners(bool watch)
{
	for (unsigned i = 0; i < POLLSET_LISTENERS; i++)
		set.polled[i].events = watch ? POLLIN : 0;
}

void
pollset_add(uint32_t conn, int fd)
{
	uint32_t slot = set.used++;

	set.polled[slot] = (struct pollfd){ .fd = fd, .events = POLLIN };
	set.owners[slot] = conn;
	set.slots[conn] = slot;
	set.touched[conn] = (uint32_t)set.now;
}

void
pollset_remove(uint32_t conn)
{
	uint32_t hole = set.slots[conn];

	if (hole < set.busy_end) {
		swap_slots(hole, --set.busy_end);
		hole = set.busy_end;
	}
	swap_slots(hole, --set.used);
}

void
pollset_watch(uint32_t conn, short events)
{
	set.polled[set.slots[conn]].events = events;
}

void
pollset_touch(uint32_t conn)
{
	set.touched[conn] = (uint32_t)set.now;
	if (set.slots[conn] >= set.busy_end)
		swap_slots(set.slots[conn], set.busy_end++);
}

uint32_t
pollset_idle_ms(uint32_t conn)
{
	return (uint32_t)set.now - set.touched[conn];
}

static void
demote_idle(void)
{
	for (uint32_t slot = POLLSET_LISTENERS; slot < set.busy_end;)
		if (pollset_idle_ms(set.owners[slot]) > STAYS_BUSY_MS)
			swap_slots(slot, --set.busy_end);
		else
			slot++;
}

uint32_t
pollset_each(uint32_t *cursor)
{
	/* Backwards: the connection that moves to the slot of a removed one has already
	 * been returned. */
	if (*cursor == 0)
		*cursor = set.used;
	if (*cursor > set.used)
		*cursor = set.used;
	return *cursor > POLLSET_LISTENERS ? set.owners[--*cursor] : 0;
}

/*
 * Waiting
 */

static int
wait_for(uint32_t slots, uint64_t until, const sigset_t *mask)
{
	uint64_t left = until > set.woken_at ? until - set.woken_at : 0;
	struct timespec time;

	/* With a 32-bit division: 1000000 is 64 * 15625. */
	uint32_t seconds = (uint32_t)(left >> 6) / 15625;
	time.tv_sec = (time_t)seconds;
	time.tv_nsec = (long)((uint32_t)left - seconds * 1000000) * 1000;
	int n = ppoll(set.polled, slots, &time, mask);
	read_clock(seconds * 1000 + (uint32_t)time.tv_nsec / 1000000);
	return n;
}

static uint32_t
note_ready(int n, uint32_t slots)
{
	set.next = 0;
	set.end = n > 0 ? slots : 0;
	return n > 0 ? (uint32_t)n : 0;
}

uint32_t
pollset_wait(uint64_t until, const sigset_t *mask)
{
	uint64_t since = set.now - set.full_poll_at;

	set.complete = false;
	if (set.busy_end > POLLSET_LISTENERS && set.busy_end < set.used / 2 &&
	    since < FULL_POLL_MS) {
		uint64_t rest = set.used > MANY_SLOTS
				    ? set.woken_at + (FULL_POLL_MS - since) * 1000
				    : 0;
		int n = wait_for(set.busy_end, until < rest ? until : rest, mask);
		/* Signals and pending input are handled before idle connections. */
		if (n != 0 || until == 0)
			return note_ready(n, set.busy_end);
	}
	demote_idle();
	int n = wait_for(set.used, until, mask);
	if (n >= 0) {
		set.full_poll_at = set.now;
		set.complete = true;
	}
	return note_ready(n, set.used);
}

bool
pollset_complete(void)
{
	return set.complete;
}

bool
pollset_next(struct pollset_event *event)
{
	struct pollfd *polled = set.polled + set.next, *end = set.polled + set.end;

	while (polled < end && polled->revents == 0)
		polled++;
	set.next = (uint32_t)(polled - set.polled);
	if (polled == end)
		return false;
	bool listener = set.next < POLLSET_LISTENERS;
	event->conn = listener ? 0 : set.owners[set.next];
	event->listener = listener ? polled->fd : -1;
	event->events = polled->revents;
	polled->revents = 0;
	set.next++;
	return true;
}

/*
 * While a descriptor is ready, ppoll() delivers no signal on Linux.  So signals would
 * wait without limit under load.
 */
void
pollset_let_signals_in(const sigset_t *mask)
{
	sigset_t blocked;

	if (set.now - set.signals_at < SIGNALS_MS)
		return;
	set.signals_at = set.now;
	sigprocmask(SIG_SETMASK, mask, &blocked);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}
