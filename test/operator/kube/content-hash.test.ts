import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { contentHash } from '../../../operator/kube/content-hash.ts';

/** The same content with its members in another order. */
function reordered(content: unknown): unknown {
  if (typeof content !== 'object' || content === null) return content;
  if (Array.isArray(content)) return content.map(reordered);
  const members = Object.entries(content).map(([name, value]) => [name, reordered(value)]);
  return Object.fromEntries(members.toReversed());
}

test('the order of members does not matter, and nothing else is overlooked', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      assert.equal(contentHash(reordered(a)), contentHash(a));
      const isSame = JSON.stringify(a) === JSON.stringify(b);
      if (contentHash(a) === contentHash(b))
        assert.deepEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
      else assert.ok(!isSame);
    }),
  );
});

test('the order of a list matters; what is undefined does not', () => {
  assert.notEqual(contentHash([1, 2]), contentHash([2, 1]));
  assert.equal(contentHash({ a: 1, b: undefined }), contentHash({ a: 1 }));
});
