#include "tls_error.h"

#include <bearssl.h>

const char tls_error_names[] =
    "no_common_version no_common_cipher no_common_alpn "
    "unexpected_message bad_record_mac record_overflow handshake_failure "
    "bad_certificate certificate_expired certificate_unknown illegal_parameter "
    "unknown_ca decode_error decrypt_error protocol_version other";

/* The same as indexes. */
enum name {
	NO_COMMON_VERSION,
	NO_COMMON_CIPHER, /* or no common curve */
	NO_COMMON_ALPN,
	UNEXPECTED_MESSAGE,
	BAD_RECORD_MAC,
	RECORD_OVERFLOW,
	HANDSHAKE_FAILURE,
	BAD_CERTIFICATE,
	CERTIFICATE_EXPIRED,
	CERTIFICATE_UNKNOWN,
	ILLEGAL_PARAMETER,
	UNKNOWN_CA,
	DECODE_ERROR,
	DECRYPT_ERROR,
	PROTOCOL_VERSION,
	OTHER
};

_Static_assert(OTHER + 1 == TLS_ERRORS, "an index for each name");

enum { SENT = BR_ERR_SEND_FATAL_ALERT, RECEIVED = BR_ERR_RECV_FATAL_ALERT };

static const struct {
	uint16_t code;
	uint16_t name;
} errors[] = {
	{ SENT + 70, NO_COMMON_VERSION },
	{ SENT + 40, NO_COMMON_CIPHER },
	{ SENT + 120, NO_COMMON_ALPN },
	{ BR_ERR_UNSUPPORTED_VERSION, PROTOCOL_VERSION },
	{ BR_ERR_BAD_VERSION, PROTOCOL_VERSION },
	{ BR_ERR_BAD_LENGTH, RECORD_OVERFLOW },
	{ BR_ERR_TOO_LARGE, RECORD_OVERFLOW },
	{ BR_ERR_BAD_MAC, BAD_RECORD_MAC },
	{ BR_ERR_UNEXPECTED, UNEXPECTED_MESSAGE },
	{ BR_ERR_BAD_CCS, UNEXPECTED_MESSAGE },
	{ BR_ERR_BAD_PARAM, DECODE_ERROR },
	{ BR_ERR_BAD_HANDSHAKE, DECODE_ERROR },
	{ BR_ERR_BAD_FINISHED, DECRYPT_ERROR },
	{ RECEIVED + 10, UNEXPECTED_MESSAGE },
	{ RECEIVED + 20, BAD_RECORD_MAC },
	{ RECEIVED + 22, RECORD_OVERFLOW },
	{ RECEIVED + 40, HANDSHAKE_FAILURE },
	{ RECEIVED + 42, BAD_CERTIFICATE },
	{ RECEIVED + 45, CERTIFICATE_EXPIRED },
	{ RECEIVED + 46, CERTIFICATE_UNKNOWN },
	{ RECEIVED + 47, ILLEGAL_PARAMETER },
	{ RECEIVED + 48, UNKNOWN_CA },
	{ RECEIVED + 50, DECODE_ERROR },
	{ RECEIVED + 51, DECRYPT_ERROR },
	{ RECEIVED + 70, PROTOCOL_VERSION },
};

size_t
tls_error_index(int error)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].code == error)
			return errors[i].name;
	return OTHER;
}

void
tls_error_put(struct text *t, int error)
{
	const char *name = tls_error_names;
	size_t index = tls_error_index(error);
	bool distrusts = (index >= BAD_CERTIFICATE && index <= CERTIFICATE_UNKNOWN) ||
			 index == UNKNOWN_CA;

	if (index == OTHER) {
		text_string(t, error >= RECEIVED ? "alert " : "BearSSL error ");
		text_number(t, (uint64_t)(error >= RECEIVED ? error % 256 : error));
	} else {
		for (; index > 0; name++)
			index -= *name == ' ';
		for (; *name != ' '; name++)
			text_char(t, *name == '_' ? ' ' : *name);
	}
	if (error >= RECEIVED && error < SENT)
		text_string(t, ", sent by the client");
	if (distrusts)
		text_string(t, " (Cert)");
}
