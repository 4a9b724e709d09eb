import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Claim } from '../../../relay/queue/queue.ts';
import { MemoryContent } from '../../../relay/queue/sqlite/content.ts';
import { HeldClaims } from '../../../relay/schedule/held.ts';
import { buildClaim } from '../../support/claim-builders.ts';

function claim(token: string, sizeBytes: number, leaseExpiryTimeMs = 1000, dueTimeMs = 0): Claim {
  return buildClaim({ token, content: new MemoryContent(Buffer.alloc(sizeBytes)), dueTimeMs, leaseExpiryTimeMs });
}

test('room ends with the number or the bytes, and comes back, told once', () => {
  let told = 0;
  const held = new HeldClaims({ maxClaims: 4, maxBytes: 100 }, () => {
    told += 1;
  });
  const [a, b] = [held.add(claim('a', 60)), held.add(claim('b', 50))];
  assert.equal(held.hasRoom, false);
  held.remove(a);
  held.remove(a);
  assert.equal(held.hasRoom, true);
  assert.equal(held.count, 1);
  held.remove(b);
  assert.equal(held.wantsMore, true);
  assert.equal(told, 1);
});

test('a lease that could not be renewed marks its claim lost, and is not asked for again', () => {
  const held = new HeldClaims({ maxClaims: 4, maxBytes: 100 }, () => undefined);
  const [a, b] = [held.add(claim('a', 1)), held.add(claim('b', 1, 9000))];
  assert.deepEqual(held.endingBefore(5000), ['a']);
  held.renewed(['a', 'b'], ['a'], { leaseExpiryTimeMs: 20_000, leaseEra: 0 });
  assert.equal(a.lost, true);
  assert.equal(b.leaseExpiryTimeMs, 20_000);
  assert.deepEqual(held.endingBefore(30_000), ['b']);
});

test('whatever waits to be begun counts from when it fell due, and what is being delivered does not', () => {
  const held = new HeldClaims({ maxClaims: 4, maxBytes: 100 }, () => undefined);
  assert.equal(held.oldestDueTimeMs, undefined);
  const [old, young] = [held.add(claim('old', 1, 1000, 100)), held.add(claim('young', 1, 1000, 200))];
  assert.equal(held.oldestDueTimeMs, 100);
  old.begun = true;
  assert.equal(held.oldestDueTimeMs, 200);
  held.remove(young);
  assert.equal(held.oldestDueTimeMs, undefined);
});

test('empty() resolves when the last one is gone', async () => {
  const held = new HeldClaims({ maxClaims: 4, maxBytes: 100 }, () => undefined);
  await held.empty();
  const a = held.add(claim('a', 1));
  let empty = false;
  const waiting = held.empty().then(() => {
    empty = true;
  });
  assert.equal(empty, false);
  held.remove(a);
  await waiting;
});
