import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReplyReader } from '../../../relay/deliver/reply-reader.ts';
import type { Reply } from '../../../relay/smtp/reply.ts';

function read(...chunks: readonly (string | Buffer)[]): { replies: Reply[]; ok: boolean; empty: boolean } {
  const replies: Reply[] = [];
  const reader = new ReplyReader(answer => replies.push(answer));
  const ok = chunks.every(chunk => reader.push(Buffer.from(chunk)));
  return { replies, ok, empty: reader.empty };
}

const table: Record<string, readonly Reply[]> = {
  '250 ok\r\n': [{ code: 250, enhanced: '', text: 'ok' }],
  '250\r\n': [{ code: 250, enhanced: '', text: '' }],
  '250 2.1.0 fine\r\n': [{ code: 250, enhanced: '2.1.0', text: 'fine' }],
  '250 2.1.0\r\n': [{ code: 250, enhanced: '2.1.0', text: '' }],
  '550-5.1.1 no\r\n550 5.1.1 mailbox\r\n': [{ code: 550, enhanced: '5.1.1', text: 'no\nmailbox' }],
  '550-5.1.1 no\r\n550 mailbox\r\n': [{ code: 550, enhanced: '5.1.1', text: 'no\nmailbox' }],
  '250 bare\n354 go\n': [
    { code: 250, enhanced: '', text: 'bare' },
    { code: 354, enhanced: '', text: 'go' },
  ],
  '550 grüße\u0007\r\n': [{ code: 550, enhanced: '', text: 'grüße ' }],
  '250 2.1.0.4 an address\r\n': [{ code: 250, enhanced: '', text: '2.1.0.4 an address' }],
};
for (const [wire, expected] of Object.entries(table)) {
  test(`${JSON.stringify(wire)} is understood`, () => assert.deepEqual(read(wire).replies, expected));
}

for (const wire of ['hello\r\n', '\r\n', '99 x\r\n', '650 x\r\n', '2500 x\r\n', '25', '150 x\r\n']) {
  test(`${JSON.stringify(wire)} is no reply`, () => {
    const { replies, ok, empty } = read(wire);
    assert.deepEqual(replies, []);
    assert.equal(ok && empty, false);
  });
}

test('Latin-1 text is kept where it is no UTF-8', () => {
  assert.equal(read(Buffer.from('550 gr\u00fc\r\n', 'latin1')).replies[0]?.text, 'gr\u00fc');
});

test('replies are the same wherever the bytes are cut', () => {
  const wire = Buffer.from(
    '250-2.0.0 grüße\r\n250 2.0.0 ok\r\n354 go\r\n550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n',
  );
  const whole = read(wire).replies;
  fc.assert(
    fc.property(fc.array(fc.nat(wire.length), { maxLength: 10 }), at => {
      const places = [0, ...at.sort((a, b) => a - b), wire.length];
      assert.deepEqual(read(...places.slice(1).map((end, n) => wire.subarray(places[n], end))).replies, whole);
    }),
  );
});

test('no bytes make it throw, or grow without end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 200 })),
      chunks => void read(...chunks.map(chunk => Buffer.from(chunk))),
    ),
  );
  assert.equal(read(...Array.from({ length: 100 }, () => 'x'.repeat(1000))).ok, false);
  assert.equal(read(...Array.from({ length: 10_000 }, () => '250-more\r\n')).ok, false);
});

test('many replies in a row are no endless reply', () => {
  assert.equal(
    read(...Array.from({ length: 10_000 }, () => '250 some words to make it long\r\n')).replies.length,
    10_000,
  );
});
