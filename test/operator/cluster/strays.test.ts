import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caches } from '../../../operator/cluster/caches.ts';
import { mailRelays, secrets } from '../../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { managedObject, relay, start } from './caches-world.ts';

const owner = { apiVersion: 'postroad.dev/v1alpha1', kind: 'MailRelay', name: 'outbound', controller: true };

function keysOf(uid: string, content: string): KubeObject {
  const object = managedObject(secrets, 'outbound-relay-keys');
  const metadata = { ...object.metadata, uid: '7', ownerReferences: [{ ...owner, uid }] };
  return { ...object, metadata, data: { key: content } } as KubeObject;
}

const contentOf = (caches: Caches): unknown => {
  const kept = caches.cluster.managed(secrets, 'mail/outbound-relay-keys') as { data?: { key?: unknown } } | undefined;
  return kept === undefined ? 'not seen' : kept.data?.key;
};

test('content is kept of what belongs to a relay that is known, and of all else that carries our labels the name', async t => {
  const long = 'x'.repeat(200_000);
  const { caches } = await start(t, api => {
    api.put(mailRelays, { ...relay, metadata: { ...relay.metadata, uid: 'known' } });
    api.put(secrets, keysOf('known', long));
    for (const [namespace, uid] of [
      ['mail', 'unknown'],
      ['elsewhere', 'known'],
    ] as const) {
      const { metadata, ...rest } = keysOf(uid, long);
      api.put(secrets, { ...rest, metadata: { ...metadata, namespace, name: 'stray', annotations: { a: long } } });
    }
  });
  assert.equal(contentOf(caches), long);
  for (const key of ['mail/stray', 'elsewhere/stray']) {
    const stray = caches.cluster.managed(secrets, key);
    assert.ok(stray !== undefined, 'its name is taken');
    assert.ok(JSON.stringify(stray).length < 1000);
  }
});

test('what is seen before its relay is never taken for empty: reading it fails until it has been read again', async t => {
  const { caches, stub, changes } = await start(t, api => api.put(secrets, keysOf('late', 'mine')));
  await waitUntil('watches', () => stub.watching('mailrelays') && stub.watching('secrets'));
  assert.equal(contentOf(caches), undefined);
  const seen: unknown[] = [];
  caches.onChange(({ about }) => {
    if (about !== 'Relay') return;
    try {
      seen.push(contentOf(caches));
    } catch (error) {
      seen.push(error instanceof Error ? error.message : error);
    }
  });
  stub.failGets = 2;
  stub.put(mailRelays, { ...relay, metadata: { ...relay.metadata, uid: 'late' } });
  await waitUntil('the change', () => seen.length > 0);
  assert.deepEqual(seen, ['Secret mail/outbound-relay-keys has not been read yet']);
  await waitUntil('its content', () => {
    try {
      return contentOf(caches) === 'mine';
    } catch {
      return false;
    }
  });
  assert.equal(stub.failGets, 0);
  assert.equal(changes.at(-1)?.about, 'Managed', 'the relay is looked at once more');
});
