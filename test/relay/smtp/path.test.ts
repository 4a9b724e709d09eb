import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePath } from '../../../relay/smtp/path.ts';

const accepted: readonly (readonly [story: string, text: string, localPart: string, domain: string])[] = [
  ['a plain mailbox', 'bob@example.com', 'bob', 'example.com'],
  ['case is kept left of the @ only', 'Bob@EXAMPLE.Com', 'Bob', 'example.com'],
  ['every atext character', "a!#$%&'*+-/=?^_`{|}~z@example.com", "a!#$%&'*+-/=?^_`{|}~z", 'example.com'],
  ['a domain of one label', 'bob@relay', 'bob', 'relay'],
  ['a quoted local-part', '"bob smith"@example.com', 'bob smith', 'example.com'],
  ['quoted-pairs and an @ in quotes', '"a\\"b\\\\c@d"@example.com', 'a"b\\c@d', 'example.com'],
  ['an empty quoted local-part', '""@example.com', '', 'example.com'],
  ['an IPv4 literal', 'bob@[192.0.2.1]', 'bob', '[192.0.2.1]'],
  ['an IPv6 literal', 'bob@[IPv6:2001:DB8::1]', 'bob', '[ipv6:2001:db8::1]'],
  ['an A-label', 'bob@XN--DMIN-MOA0I.example', 'bob', 'xn--dmin-moa0i.example'],
  ['a local-part of 255 octets', `${'a'.repeat(255)}@example.com`, 'a'.repeat(255), 'example.com'],
];

for (const [story, text, localPart, domain] of accepted) {
  test(`a path may have ${story}`, () => {
    assert.deepEqual(parsePath(text, { smtputf8: false }), { text, localPart, domain });
  });
}

test('a source route is understood and left out (RFC 5321 s4.1.1.3)', () => {
  const path = parsePath('@a.example,@b.example:bob@example.com', { smtputf8: false });
  assert.deepEqual(path, { text: 'bob@example.com', localPart: 'bob', domain: 'example.com' });
});

test('a UTF-8 mailbox needs SMTPUTF8, keeps its text, and compares by A-labels (RFC 6531 s3.3)', () => {
  const text = 'jörg@dömäin.example';
  assert.equal(parsePath(text, { smtputf8: false }), undefined);
  assert.deepEqual(parsePath(text, { smtputf8: true }), { text, localPart: 'jörg', domain: 'xn--dmin-moa0i.example' });
  assert.equal(parsePath('a@DÖMÄIN.example', { smtputf8: true })?.domain, 'xn--dmin-moa0i.example');
});

const refused: readonly (readonly [story: string, text: string])[] = [
  ['nothing', ''],
  ['no domain', 'bob'],
  ['an empty domain', 'bob@'],
  ['an empty local-part', '@example.com'],
  ['two @', 'bob@example.com@example.org'],
  ['a dot at the start', '.bob@example.com'],
  ['a dot at the end', 'bob.@example.com'],
  ['two dots', 'b..ob@example.com'],
  ['a space', 'bob smith@example.com'],
  ['a comment', 'bob(x)@example.com'],
  ['angle brackets', '<bob@example.com>'],
  ['an open quote', '"bob@example.com'],
  ['a bare quote in quotes', '"a"b"@example.com'],
  ['a control character in quotes', '"a\u0001b"@example.com'],
  ['a CRLF', 'bob\r\n@example.com'],
  ['a CRLF in quotes', '"a\r\nb"@example.com'],
  ['a CRLF after the domain', 'bob@example.com\r\n'],
  ['a newline after the domain', 'bob@example.com\n'],
  ['a NUL', 'bob\0@example.com'],
  ['a trailing dot', 'bob@example.com.'],
  ['a label that begins with a hyphen', 'bob@-example.com'],
  ['a label that ends with a hyphen', 'bob@example-.com'],
  ['an underscore in the domain', 'bob@exa_mple.com'],
  ['a label of 64 octets', `bob@${'a'.repeat(64)}.com`],
  ['a domain of 254 octets', `bob@${'a.'.repeat(126)}aa`],
  ['an address without brackets', 'bob@192.0.2.1'],
  ['a bad IPv4 literal', 'bob@[192.0.2.256]'],
  ['a bad IPv6 literal', 'bob@[IPv6:2001::db8::1]'],
  ['an IPv6 literal with a zone', 'bob@[IPv6:fe80::1%eth0]'],
  ['an unregistered literal', 'bob@[x400:anything]'],
  ['a local-part of 256 octets', `${'a'.repeat(256)}@example.com`],
  ['a source route without its colon', '@a.example,bob@example.com'],
  ['a source route with a bad hop', '@a_b:bob@example.com'],
];

for (const [story, text] of refused) {
  test(`a path must not have ${story}`, () => {
    assert.equal(parsePath(text, { smtputf8: false }), undefined);
    assert.equal(parsePath(text, { smtputf8: true }), undefined);
  });
}

const refusedUtf8: readonly (readonly [story: string, text: string])[] = [
  ['a full-width letter in the domain, which some map and some do not', 'bob@ｅxample.com'],
  ['an ideographic full stop in the domain', 'bob@example。com'],
  ['a right-to-left override', 'bob\u202e@example.com'],
  ['a no-break space', 'bob\u00a0smith@example.com'],
  ['a zero-width space', 'bob\u200b@example.com'],
  ['a C1 control', 'bob\u0085@example.com'],
  ['a replacement character, which stands for bytes that were no UTF-8', 'b\ufffdb@example.com'],
  ['a lone surrogate', 'b\ud800b@example.com'],
  ['a percent-encoded domain', 'bob@ex%C3%A4mple.com'],
  ['a path in the domain', 'bob@exämple.com/x'],
  ['a port in the domain', 'bob@exämple.com:25'],
  ['another @ in the domain', 'bob@ä@example.com'],
];

for (const [story, text] of refusedUtf8) {
  test(`a UTF-8 path must not have ${story}`, () => {
    assert.equal(parsePath(text, { smtputf8: true }), undefined);
  });
}

test('whatever comes in, a path that is taken is one line, says what was sent, and reads the same again', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.emailAddress(),
    fc.tuple(fc.string({ unit: 'grapheme' }), fc.domain()).map(([local, domain]) => `${local}@${domain}`),
    fc.tuple(fc.string({ unit: 'grapheme-ascii' }), fc.domain()).map(([local, domain]) => `"${local}"@${domain}`),
  );
  fc.assert(
    fc.property(text, fc.boolean(), (input, smtputf8) => {
      const path = parsePath(input, { smtputf8 });
      if (path === undefined) return;
      assert.doesNotMatch(path.text, /[\0\r\n]/);
      assert.match(path.domain, /^[\x21-\x7e]+$/);
      assert.ok(input.endsWith(path.text));
      assert.deepEqual(parsePath(path.text, { smtputf8 }), path);
      if (!smtputf8) assert.match(path.text, /^[\x20-\x7e]+$/);
    }),
    { numRuns: 2000 },
  );
});

test('every address that fast-check calls an e-mail address is taken', () => {
  fc.assert(
    fc.property(fc.emailAddress(), text => assert.equal(parsePath(text, { smtputf8: false })?.text, text)),
    { numRuns: 500 },
  );
});
