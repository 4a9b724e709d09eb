import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const read = (name: string): Promise<string> => readFile(new URL(`../${name}`, import.meta.url), 'utf8');

interface Lock {
  readonly packages: Readonly<Record<string, { readonly resolved?: string; readonly integrity?: string }>>;
}

/** A registry's address in the lock file would tie every user to the registry of whoever wrote it last. */
function resolvedIn(lock: Lock): string[] {
  return Object.entries(lock.packages).flatMap(([name, { resolved }]) => (resolved === undefined ? [] : [name]));
}

test('the lock file pins contents, not the registry they came from', async () => {
  const lock = JSON.parse(await read('package-lock.json')) as Lock;
  assert.deepEqual(resolvedIn(lock), [], 'npm install --omit-lockfile-registry-resolved');
  const unpinned = Object.entries(lock.packages).filter(
    ([name, { integrity }]) => name !== '' && integrity === undefined,
  );
  assert.deepEqual(unpinned, []);
});

test('control: a registry address in a lock file is seen', () => {
  const lock = {
    packages: { '': {}, 'node_modules/a': { resolved: 'https://registry.example/a.tgz', integrity: 'x' } },
  };
  assert.deepEqual(resolvedIn(lock), ['node_modules/a']);
});

test('the README and CI install and test with the same command', async () => {
  assert.match(await read('README.md'), /^ {4}npm ci && npm test$/m);
  assert.match(await read('.ci/run'), /npm ci && npm test/);
});
