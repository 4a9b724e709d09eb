import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { sampleMail } from './sample-mail.ts';
import { assertUntouched } from './send-samples.ts';

const seed = 5;
const number = 10;

/** What a next hop would make of it, after a relay that did `change` to it. */
function received(change: (text: string) => string): { header: string; bodySha256: string } {
  const text = change(sampleMail(seed, number).wire.toString('latin1'));
  const end = text.indexOf('\r\n\r\n');
  const body = text.slice(end + 4).replaceAll(/^\.\./gm, '.');
  const bodySha256 = createHash('sha256').update(Buffer.from(body, 'latin1')).digest('hex');
  return { header: text.slice(0, end + 2), bodySha256 };
}

test('a message that had fields put above it counts as untouched', () => {
  assertUntouched(
    sampleMail(seed, number),
    received(text => `Received: by somebody\r\n${text}`),
  );
});

for (const [what, change] of [
  ['a trailing space is gone', text => text.replace('spaces   \r\n', 'spaces\r\n')],
  ['the last empty line is gone', text => text.slice(0, -2)],
  ['a doubled dot stays doubled', text => text.replace('\r\n...two', '\r\n....two')],
  ['8-bit text was decoded and encoded', text => Buffer.from(text, 'utf8').toString('latin1')],
  ['a field was folded anew', text => text.replace('\r\n  folded', '\r\n\tfolded')],
  ['a space was put after a colon', text => text.replace('x-lower-case:no', 'x-lower-case: no')],
  ['a field was put below', text => text.replace('\r\n\r\n', '\r\nX-Relay: yes\r\n\r\n')],
] as const satisfies readonly (readonly [string, (text: string) => string])[]) {
  test(`control: it is seen when ${what}`, () => {
    const changed = received(change);
    assert.notDeepEqual(
      changed,
      received(text => text),
      'the change must change something',
    );
    assert.throws(() => assertUntouched(sampleMail(seed, number), changed), assert.AssertionError);
  });
}
