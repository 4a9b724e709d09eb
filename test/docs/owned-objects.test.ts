import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { managedKinds, persistentVolumeClaims } from '../../operator/cluster/kinds.ts';
import { endpointName } from '../../operator/domainpolicy/desired.ts';
import { ringSecretName } from '../../operator/domainpolicy/key-ring.ts';
import { namesOf } from '../../operator/mailrelay/desired/names.ts';
import { domainPolicy, mailRelay } from '../operator/builders.ts';

const page = await readFile(new URL('../../docs/concepts.md', import.meta.url), 'utf8');
const rows = page
  .slice(page.indexOf('## What a MailRelay makes'))
  .split('\n')
  .filter(line => /^\| [A-Z]/.test(line));

test('the concepts page has a row for each kind that is made, and for no other', () => {
  const told = rows.flatMap(row => (row.split('|')[1] ?? '').split(',').map(kind => kind.trim()));
  const made = [...managedKinds, persistentVolumeClaims].map(({ kind }) => kind);
  assert.deepEqual([...new Set(told)].toSorted(), made.toSorted());
});

test('and each name that a relay gives', () => {
  const named = mailRelay();
  const relay = { ...named, metadata: { ...named.metadata, name: 'R' } };
  const { files, claim, ...fixed } = namesOf(relay);
  const owner = domainPolicy();
  const policy = { ...owner, metadata: { ...owner.metadata, name: 'POLICY' } };
  const ring = ringSecretName(relay, policy).replace(/[0-9a-f]{32}$/, '');
  const names = [...Object.values(fixed), files(0), claim(0), ring, endpointName(policy)];
  const missing = names.filter(name => !rows.some(row => row.includes(`\`${name}\``)));
  assert.deepEqual(missing, []);
});
