/* Plain sockets, in place of tls.c, cert.c, renewal.c, authority.c and others in a build
 * without TLS (make TLS=0). */
#include "authority.h"
#include "renewal.h"
#include "socket.h"
#include "tls.h"

#include <sys/socket.h>

bool
renewal_load(const struct conf *conf, struct text *error)
{
	if (conf->tls)
		text_string(error, "TLS is not in this build");
	return !conf->tls;
}

void
renewal_warn(void)
{
}

void
renewal_start(const uint8_t seed[TLS_SEED])
{
	(void)seed;
}

void
renewal_request(void)
{
}

void
renewal_wakeup(void)
{
}

const struct renewal_counters *
renewal_count(void)
{
	static const struct renewal_counters none;

	return &none;
}

int
authority_issue(const char *cert_file, const char *key_file, char *const *names,
		size_t count, struct text *output)
{
	(void)cert_file;
	(void)key_file;
	(void)names;
	(void)count;
	text_string(output, "TLS is not in this build");
	return 1;
}

void
tls_place(struct memory *m, uint32_t connections)
{
	(void)m;
	(void)connections;
}

void
tls_close(uint32_t conn)
{
	(void)conn;
}

void
tls_open(uint32_t conn)
{
	(void)conn;
}

ssize_t
tls_read(uint32_t conn, int fd, void *data, size_t length)
{
	(void)conn;
	return recv(fd, data, length, 0);
}

ssize_t
tls_write(uint32_t conn, int fd, const void *data, size_t length)
{
	(void)conn;
	return socket_write(fd, (struct span){ data, length }, (struct span){ 0 });
}

bool
tls_is_plain(uint32_t conn)
{
	(void)conn;
	return false;
}

bool
tls_enabled(void)
{
	return false;
}

bool
tls_names_host(struct span name)
{
	(void)name;
	return false;
}

bool
tls_authority(struct span *der)
{
	(void)der;
	return false;
}

bool
tls_takes_input(uint32_t conn)
{
	(void)conn;
	return true;
}

bool
tls_has_ended(uint32_t conn)
{
	(void)conn;
	return false;
}

bool
tls_progressed(uint32_t conn)
{
	(void)conn;
	return false;
}

bool
tls_readable(uint32_t conn)
{
	(void)conn;
	return false;
}

bool
tls_unsent(uint32_t conn)
{
	(void)conn;
	return false;
}

bool
tls_has_begun(uint32_t conn)
{
	(void)conn;
	return true;
}

bool
tls_in_handshake(uint32_t conn)
{
	(void)conn;
	return false;
}

void
tls_finish(uint32_t conn)
{
	(void)conn;
}

void
tls_release_buffer(uint32_t conn)
{
	(void)conn;
}

bool
tls_sweep(void)
{
	return false;
}

const struct tls_counters *
tls_count(void)
{
	static const struct tls_counters none;

	return &none;
}
