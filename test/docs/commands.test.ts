/** Commands of the pages for those who run Postroad: each is run by a journey (test/cluster/journeys), or stands here with the reason why not. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandsIn } from '../cluster/documented.ts';

const root = join(import.meta.dirname, '../..');
const pages = ['install', 'remove-a-relay', 'security', 'sizing', 'troubleshooting'].map(
  name => `docs/how-to/${name}.md`,
);

/** By page, how a command begins, and why no journey runs it. */
const notRun: Readonly<Record<string, Readonly<Record<string, string>>>> = {};

const commandCall = /\bcommandOf\(\s*(?:'([^']+)'|(\w+)),\s*'((?:[^'\\]|\\.)+)',?\s*\)/g;

/** What the journeys take from a page, by the beginning that they name. A page may be named by a constant of the file. */
function beginningsTakenFrom(page: string): string[] {
  return globSync('test/cluster/journeys/**/*.test.ts', { cwd: root }).flatMap(path => {
    const source = readFileSync(join(root, path), 'utf8');
    return [...source.matchAll(commandCall)].flatMap(([, literal, constant, beginning = '']) => {
      const named = literal ?? new RegExp(`const ${constant} = '([^']+)'`).exec(source)?.[1];
      return named === page ? [beginning] : [];
    });
  });
}

function unaccounted(page: string, text: string): string[] {
  const beginnings = [...beginningsTakenFrom(page), ...Object.keys(notRun[page] ?? {})];
  return commandsIn(text).filter(command => !beginnings.some(beginning => command.startsWith(beginning)));
}

for (const page of pages) {
  const text = readFileSync(join(root, page), 'utf8');
  test(`every command of ${page} is run by a journey, or said not to be`, () => {
    assert.deepEqual(unaccounted(page, text), []);
  });

  test(`and ${page} has every command that a journey takes from it`, () => {
    const commands = commandsIn(text);
    const missing = [...beginningsTakenFrom(page), ...Object.keys(notRun[page] ?? {})].filter(
      beginning => commands.filter(command => command.startsWith(beginning)).length !== 1,
    );
    assert.deepEqual(missing, []);
  });
}

test('a command that nobody runs would be found', () => {
  assert.deepEqual(unaccounted('docs/how-to/install.md', 'Then:\n\n    helm make-coffee\n'), ['helm make-coffee']);
});
