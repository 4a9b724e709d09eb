import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeQuotedPrintable } from '../../../relay/bounce/quoted-printable.ts';

function decode(text: string): Buffer {
  const joined = text.replaceAll('=\r\n', '');
  const octets = joined.replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(octets, 'latin1');
}

test('any bytes survive in lines of at most 76 printable characters that end in nothing but text', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 400 }).map(array => Buffer.from(array)),
    fc
      .array(fc.constantFrom('a', ' ', '\t', '=', '\r\n', '\r', '\n', 'ä', 'word'.repeat(30)))
      .map(all => Buffer.from(all.join(''))),
  );
  fc.assert(
    fc.property(bytes, octets => {
      const text = encodeQuotedPrintable(octets);
      assert.deepEqual(decode(text), octets);
      for (const line of text.split('\r\n')) assert.match(line, /^(?:[\t\x20-\x7e]{0,75}[\x21-\x7e])?$/);
    }),
    { numRuns: 1000 },
  );
});
