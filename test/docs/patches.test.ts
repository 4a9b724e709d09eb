/** Patches that pages tell to apply, applied to a usual object: the check, which has the API server's verdicts, takes the outcome. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { validateObject } from '../../crds/validate-object.ts';

const root = join(import.meta.dirname, '../..');
const usual = new Map(
  ['relay', 'policy'].map(name => {
    const object = parse(readFileSync(join(root, `examples/quickstart/${name}.yaml`), 'utf8'));
    return [String(object.kind).toLowerCase(), object];
  }),
);

/** RFC 7386. */
function merged(base: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const fields = { ...(isRecord(base) ? base : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete fields[name];
    else fields[name] = merged(fields[name], value);
  }
  return fields;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const pages = globSync('docs/{how-to,runbooks}/*.md', { cwd: root });
const command = /kubectl .*?patch (mailrelay|domainpolicy) \S+ .*?--type merge --patch '(\{.*\})'/g;
const patches = pages.flatMap(page =>
  [...readFileSync(join(root, page), 'utf8').matchAll(command)].map(([, kind = '', patch = '']) => ({
    page,
    kind,
    patch,
  })),
);

test('pages tell of patches', () => assert.ok(patches.length >= 8));

for (const { page, kind, patch } of patches) {
  test(`${kind} takes ${patch} (${page})`, () => {
    assert.deepEqual(validateObject(merged(usual.get(kind), JSON.parse(patch))).faults, []);
  });
}

test('control: a patch that the API server would refuse is found', () => {
  const patch = { spec: { tls: { type: 'SecretRef' } } };
  assert.notDeepEqual(validateObject(merged(usual.get('mailrelay'), patch)).faults, []);
});
