import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const relay = new URL('../../relay/', import.meta.url);
const tests = new URL('../', import.meta.url);

interface Row {
  readonly rfc: string;
  readonly state: string;
  readonly files: readonly string[];
  readonly tests: readonly string[];
}

async function rows(): Promise<Row[]> {
  const table = (await readFile(new URL('README.md', relay), 'utf8')).split('## RFCs')[1] ?? '';
  const lines = table.split('\n').filter(line => /^\| \d/.test(line));
  return lines.map(line => {
    const [, rfc = '', , state = '', files = '', shown = ''] = line.split('|').map(cell => cell.trim());
    return { rfc, state, files: files.split(', ').filter(Boolean), tests: shown.split(', ').filter(Boolean) };
  });
}

test('each RFC of the table says done, partly or no, and what it does is in a file and shown by a test', async () => {
  const table = await rows();
  assert.ok(table.length > 30);
  for (const row of table) {
    assert.match(row.state, /^(done|partly|no)\b/, row.rfc);
    if (row.state === 'no') continue;
    assert.ok(row.files.length > 0 && row.tests.length > 0, `${row.rfc} names no file or no test`);
    for (const file of row.files) assert.ok(existsSync(new URL(file, relay)), `${row.rfc}: relay/${file}`);
    for (const file of row.tests) assert.ok(existsSync(new URL(file, tests)), `${row.rfc}: test/${file}`);
  }
});
