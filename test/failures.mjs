/* A reporter for node --test: a line for each test that failed itself, with the start of its error. */
import path from 'node:path';

export default async function* failures(events) {
	for await (const { type, data } of events) {
		const error = data.details?.error;
		if (type !== 'test:fail' || error.failureType === 'subtestsFailed')
			continue;
		const { message, stack } = error.cause ?? error;
		/* What is declared through a helper has the place of that helper. */
		const [place] = /[\w-]+\.test\.mjs:\d+/.exec(stack) ?? [`${path.basename(data.file ?? '')}:${data.line ?? ''}`];
		const reason = String(message ?? error.cause).replace(/\s+/g, ' ').trim();
		yield `${place}: ${data.name}: ${reason.slice(0, 200)}\n`;
	}
}
