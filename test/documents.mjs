/* README and doc/ as tests read them: sections, blocks of code, tables, links. */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const read = name => readFile(path.join(root, name), 'utf8');

/* The names of all documents. */
export const documents = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md',
	...(await readdir(path.join(root, 'doc'))).filter(name => name.endsWith('.md')).map(name => `doc/${name}`)];

/* The blocks of code of a document, in order, each without its indentation. */
export function blocksOf(text) {
	const blocks = [];
	let block; /* the lines of the present one */
	for (const [i, line] of text.split('\n').entries()) {
		const [indent] = /^ {4,}(?=\S)/.exec(line) ?? [];
		if (block !== undefined && (line === '' || line.startsWith(block.indent)))
			block.lines.push(line.slice(block.indent.length));
		else if (indent !== undefined && text.split('\n')[i - 1] === '')
			blocks.push(block = { indent, lines: [line.slice(indent.length)] });
		else
			block = undefined;
	}
	return blocks.map(({ lines }) => lines.join('\n').trimEnd());
}

/* A document without its blocks and code spans. */
export const prose = text => text.replace(/^ {4}.*$/gm, '').replace(/``?[^`]*``?/g, '');

/* The anchors of a document's headings, as forges make them. */
export const anchorsOf = text => [...text.replace(/^ {4}.*$/gm, '').matchAll(/^#+ (.*)$/gm)]
	.map(([, title]) => title.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'));

/* The rows of the table whose head begins with these cells; each cell without its marks of code. */
export function tableOf(text, head) {
	const [, rest] = text.split(`\n| ${head}`);
	assert(rest !== undefined, `no table with the head ${head}`);
	return rest.split(/\n(?!\|)/)[0].split('\n').slice(2)
		.map(row => row.slice(2).replace(/ ?\|$/, '').split(/ ?\|(?: |$)/).map(cell => cell.replaceAll('\\*', '*')));
}

/* The texts that a cell has as code. */
export const codes = cell => [...cell.matchAll(/`([^`]*)`/g)].map(([, code]) => code);
