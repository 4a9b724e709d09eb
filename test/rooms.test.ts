import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOfFile } from './house/habits.ts';
import { faultsOfImport, findCycle } from './house/import-rules.ts';
import { importsOf, readSourceFiles } from './house/source-files.ts';

const files = await readSourceFiles();
const imports = files.flatMap(importsOf);

/** Faults of a file that does not exist, by the same rules. */
function faultsOf(path: string, text: string): string[] {
  const file = { path, text };
  return [...importsOf(file).flatMap(faultsOfImport), ...faultsOfFile(file)];
}

test('there is source to look at', () => {
  assert.ok(files.length > 40 && imports.length > files.length, `${files.length} files, ${imports.length} imports`);
});

test('every import is one that the table of rooms allows, and every package stays in the file that adapts it', () => {
  assert.deepEqual(imports.flatMap(faultsOfImport), []);
});

test('every import of ours leads to a file', () => {
  const known = new Set(files.map(({ path }) => path));
  const dead = imports
    .filter(({ isOurs, to }) => isOurs && !known.has(to))
    .map(({ from, to }) => `${from} imports ${to}`);
  assert.deepEqual(dead, []);
});

test('no file imports itself by way of others', () => {
  assert.equal(findCycle(imports)?.join(' -> '), undefined);
});

test('only the main files know the process, and files are short enough to read', () => {
  assert.deepEqual(files.flatMap(faultsOfFile), []);
});

for (const [what, path, text] of [
  ['relay imports operator', 'relay/policy/route.ts', "import { plan } from '../../operator/plan.ts';"],
  ['operator imports a stage', 'operator/standalone.ts', "import { startRelay } from '../relay/relay.ts';"],
  ['somebody imports accept', 'relay/schedule/lane.ts', "import { x } from '../accept/server.ts';"],
  ['somebody imports main', 'relay/http.ts', "import './main.ts';"],
  ['policy imports queue', 'relay/policy/route.ts', "import { QueueFullError } from '../queue/queue.ts';"],
  ['the log itself is imported, not its type', 'relay/accept/server.ts', "import { createLog } from '../log.ts';"],
  ['an import over several lines', 'relay/smtp/path.ts', "import {\n  a,\n  b,\n} from '../config.ts';"],
  ['a lazy import', 'relay/smtp/path.ts', "const x = await import('../config.ts');"],
  ['a re-export', 'relay/smtp/path.ts', "export { parseConfig } from '../config.ts';"],
  ['a type beside a value', 'relay/accept/x.ts', "import { type Log, createLog } from '../log.ts';"],
  ['a package outside its adapter', 'relay/accept/x.ts', "import { pino } from 'pino';"],
  ['a part of a package outside its adapter', 'relay/sign/x.ts', "import { x } from 'smtp-server/lib/sasl.js';"],
  ['SQLite outside its store', 'relay/queue/queue.ts', "import { DatabaseSync } from 'node:sqlite';"],
  ['a package in no table', 'relay/policy/x.ts', "import lodash from 'lodash';"],
  ['a room in no table', 'relay/novel/x.ts', "import { parseConfig } from '../config.ts';"],
  ['the environment is read', 'relay/deliver/x.ts', 'const x = process.env["HOME"];'],
  ['a signal handler', 'operator/serve.ts', "process.on('SIGTERM', stop);"],
  ['the exit code is set', 'relay/http.ts', 'process.exitCode = 1;'],
  ['a long file', 'relay/deliver/x.ts', 'x;\n'.repeat(301)],
  ['an excused file that grew', 'relay/deliver/session.ts', 'x;\n'.repeat(401)],
  ['a barrel', 'relay/smtp/index.ts', ''],
  ['a folder for anything', 'relay/utils/x.ts', ''],
] as const) {
  test(`control: ${what} is seen`, () => {
    assert.equal(faultsOf(path, text).length, 1, faultsOf(path, text).join('\n'));
  });
}

test('control: what the table allows is no fault', () => {
  const text = [
    "import { readFile } from 'node:fs/promises';",
    "import type { Log } from '../log.ts';",
    "import { type Metrics } from '../metrics.ts';",
    "import { checkFrom } from '../policy/from.ts';",
    "import { SMTPServer } from 'smtp-server/lib/smtp-server.js';",
  ];
  assert.deepEqual(faultsOf('relay/accept/x.ts', text.join('\n')), []);
});

test('control: a cycle is seen, over types as well', () => {
  const cyclic = [
    { path: 'relay/smtp/a.ts', text: "import { b } from './b.ts';" },
    { path: 'relay/smtp/b.ts', text: "import type { C } from '../policy/c.ts';" },
    { path: 'relay/policy/c.ts', text: "import { a } from '../smtp/a.ts';" },
  ];
  const [a, b, c] = cyclic.map(({ path }) => path);
  assert.deepEqual(findCycle(cyclic.flatMap(importsOf)), [a, b, c, a]);
});

test('control: a cycle within a room is seen, of types alone', () => {
  const cyclic = [
    { path: 'relay/smtp/a.ts', text: "import type { B } from './b.ts';" },
    { path: 'relay/smtp/b.ts', text: "import type { A } from './a.ts';" },
  ];
  assert.deepEqual(findCycle(cyclic.flatMap(importsOf)), ['relay/smtp/a.ts', 'relay/smtp/b.ts', 'relay/smtp/a.ts']);
});
