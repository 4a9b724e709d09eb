import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import fc from 'fast-check';
import { hashRelaxedBody } from '../../../relay/sign/body-hash.ts';

interface Hasher {
  update(chunk: Buffer): void;
  digest(encoding: 'base64'): string;
}
const { RelaxedHash } = createRequire(import.meta.url)('mailauth/lib/dkim/body/relaxed.js') as {
  RelaxedHash: new (algorithm: string) => Hasher;
};

function hash(...chunks: readonly Buffer[]): string {
  const hasher = hashRelaxedBody();
  for (const chunk of chunks) hasher.update(chunk);
  return hasher.digest();
}

function mailauthHash(body: Buffer): string {
  const hasher = new RelaxedHash('sha256');
  hasher.update(body);
  return hasher.digest('base64');
}

const empty = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';

const canonical: readonly (readonly [story: string, body: string, canonical: string])[] = [
  ['an empty body', '', ''],
  ['blank lines only', '\r\n\r\n', ''],
  ['lines of white space only', ' \r\n\t\r\n', ''],
  ['the example of RFC 6376 s3.4.5', ' C \r\nD \t E\r\n\r\n\r\n', ' C\r\nD E\r\n'],
  ['no CRLF at the end', 'a', 'a\r\n'],
  ['white space at the end without CRLF', 'a \t', 'a\r\n'],
  ['white space at the start', ' \t a\r\n', ' a\r\n'],
  ['blank lines within', 'a\r\n\r\n\r\nb\r\n\r\n', 'a\r\n\r\n\r\nb\r\n'],
  ['a blank line of white space within', 'a\r\n \t\r\nb\r\n', 'a\r\n\r\nb\r\n'],
  ['a bare CR within a line', 'a \rb\r\n', 'a \rb\r\n'],
  ['two CRs before an LF', 'a\r\r\n', 'a\r\r\n'],
  ['8-bit bytes', 'ä  ö\r\n', 'ä ö\r\n'],
];

for (const [story, body, expected] of canonical) {
  test(`the relaxed body of ${story}`, () => {
    assert.equal(hash(Buffer.from(body)), createHash('sha256').update(expected).digest('base64'));
  });
}

test('the hash of nothing is the well-known one', () => assert.equal(hash(), empty));

const lineText = fc.array(
  fc.constantFrom('a', 'word', ' ', '  ', '\t', 'ä', '.', '=', '<td>', '0123456789'.repeat(120)),
  {
    maxLength: 12,
  },
);
const body = fc
  .tuple(fc.array(lineText, { maxLength: 40 }), fc.boolean())
  .map(([lines, closed]) => Buffer.from(lines.map(line => line.join('')).join('\r\n') + (closed ? '\r\n' : '')));

test('any body of CRLF lines hashes as in mailauth', () => {
  fc.assert(
    fc.property(body, bytes => assert.equal(hash(bytes), mailauthHash(bytes))),
    { numRuns: 2000 },
  );
});

test('where the body is cut makes no difference, for any bytes', () => {
  const bytes = fc.oneof(body, fc.array(fc.constantFrom(0x0d, 0x0a, 0x20, 0x09, 0x61)).map(Buffer.from));
  fc.assert(
    fc.property(bytes, fc.array(fc.nat()), (whole, cuts) => {
      const places = [...new Set(cuts.map(cut => cut % (whole.length + 1)))].sort((a, b) => a - b);
      const chunks = [0, ...places].map((start, index) => whole.subarray(start, places[index] ?? whole.length));
      assert.equal(hash(...chunks), hash(whole));
    }),
    { numRuns: 3000 },
  );
});

test('a line of 8 MiB and 4 million blank lines cost no more than their bytes', () => {
  const line = Buffer.alloc(64 * 1024, 'x y  z');
  const blank = Buffer.from('\r\n'.repeat(32 * 1024));
  const hasher = hashRelaxedBody();
  const started = process.cpuUsage();
  for (let index = 0; index < 128; index += 1) hasher.update(line);
  for (let index = 0; index < 128; index += 1) hasher.update(blank);
  assert.notEqual(hasher.digest(), empty);
  const { user, system } = process.cpuUsage(started);
  // Linear: some 0.1 s. Scanning the line again for each of its chunks would take a hundred times that.
  assert.ok(user + system < 3_000_000, `${(user + system) / 1000} ms of CPU`);
});
