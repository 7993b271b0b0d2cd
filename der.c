#include "der.h"

#include <string.h>

size_t
der_open(struct text *t, enum der_tag tag)
{
	text_char(t, (char)tag);
	return t->length;
}

void
der_close(struct text *t, size_t start)
{
	size_t length = t->length - start, size = 0;
	unsigned char head[3];

	if (length >= 0x80)
		head[size++] = length >= 0x100 ? 0x82 : 0x81;
	if (length >= 0x100)
		head[size++] = (unsigned char)(length >> 8);
	head[size++] = (unsigned char)length;
	text_put(t, head, size);
	if (t->overflow)
		return;
	memmove(t->data + start + size, t->data + start, length);
	memcpy(t->data + start, head, size);
}

void
der_put(struct text *t, enum der_tag tag, const void *content, size_t length)
{
	size_t value = der_open(t, tag);

	text_put(t, content, length);
	der_close(t, value);
}

void
der_put_bits(struct text *t, const void *content, size_t length)
{
	size_t value = der_open(t, DER_BIT_STRING);

	text_char(t, 0);
	text_put(t, content, length);
	der_close(t, value);
}

void
der_put_time(struct text *t, uint64_t time)
{
	char iso[32], digits[16];
	struct text from, to;

	text_init(&from, iso, sizeof iso);
	text_init(&to, digits, sizeof digits);
	text_iso_time(&from, time);
	for (size_t i = time < DER_YEAR_2050 ? 2 : 0; i < from.length; i++)
		if (iso[i] >= '0' && iso[i] <= '9')
			text_char(&to, iso[i]);
	text_char(&to, 'Z');
	der_put(t, time < DER_YEAR_2050 ? DER_UTC_TIME : DER_GENERALIZED_TIME, digits,
		to.length);
}
