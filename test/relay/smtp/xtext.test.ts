import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeXtext, encodeXtext } from '../../../relay/smtp/xtext.ts';

test('the example of RFC 3461 s4.2 is decoded', () => {
  assert.equal(decodeXtext('Bob+40example.com'), 'Bob@example.com');
  assert.equal(decodeXtext('a+2Bb+3Dc'), 'a+b=c');
  assert.equal(decodeXtext(''), '');
});

test('what is no xtext is refused', () => {
  for (const text of ['a b', 'a=b', 'a+', 'a+4', 'a+4g', 'a+2b', 'ä', 'a\r\nb', 'a\0']) {
    assert.equal(decodeXtext(text), undefined, JSON.stringify(text));
  }
});

test('any octets survive, in printable characters without space, plus and equals sign', () => {
  fc.assert(
    fc.property(fc.uint8Array(), octets => {
      const text = Buffer.from(octets).toString('latin1');
      const encoded = encodeXtext(text);
      assert.match(encoded, /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*$/);
      assert.equal(decodeXtext(encoded), text);
    }),
  );
});

test('characters that are no octets are refused', () => {
  assert.throws(() => encodeXtext('€'), RangeError);
  assert.throws(() => encodeXtext('😀'), RangeError);
});
