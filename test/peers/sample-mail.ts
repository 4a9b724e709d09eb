/** Mail as applications send it: MIME, attachments of all sizes, 8-bit text, and lines that tempt a relay to touch them. */
import { createHash } from 'node:crypto';
import { seededRandom } from '../support/seeded-random.ts';

export interface SampleMail {
  readonly recipient: string;
  /** With CRLF, dots doubled: what follows DATA. */
  readonly wire: Buffer;
  /** Each header field as sent, folds and CRLF included. */
  readonly header: string;
  /** Of what follows the header, dots not doubled. */
  readonly bodySha256: string;
  readonly sizeBytes: number;
}

const mib = 1024 * 1024;

/** Share of messages, from, to: nearly all small, a few as large as mail gets; the two largest are always there. */
const classes = [
  { share: 0.955, leastBytes: 500, mostBytes: 24 * 1024 },
  { share: 0.985, leastBytes: 100 * 1024, mostBytes: 600 * 1024 },
  { share: 1, leastBytes: mib, mostBytes: 3 * mib },
] as const;
const largestBytes = 20 * mib;
const largest = 2;

/** Message `number` of a set is the same in every run with that seed. */
export function sampleMail(seed: number, number: number): SampleMail {
  const random = seededRandom(seed * 1_000_003 + number);
  const header = headerOf(number);
  const body = bodyOf(attachmentBytes(number, random), random);
  const stuffed = stuff(body);
  return {
    recipient: `m${number}@next.example`,
    wire: Buffer.concat([Buffer.from(`${header}\r\n`), stuffed]),
    header,
    bodySha256: createHash('sha256').update(body).digest('hex'),
    sizeBytes: header.length + 2 + body.length,
  };
}

function attachmentBytes(number: number, random: () => number): number {
  if (number < largest) return largestBytes;
  const kind = random();
  const { leastBytes, mostBytes } = classes.find(({ share }) => kind < share) ?? classes[0];
  return Math.floor(leastBytes + random() * (mostBytes - leastBytes));
}

function headerOf(number: number): string {
  return [
    'From: =?utf-8?Q?J=C3=BCrgen?= <sample@example.com>',
    `To: m${number}@next.example,`,
    '\tnobody@next.example',
    `Subject: =?utf-8?B?w5xiZXJzaWNodA==?= number ${number}`,
    '  folded with two spaces',
    `Message-ID: <sample-${number}@example.com>`,
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    'MIME-Version: 1.0',
    'x-lower-case:no space after the colon',
    `X-Audit-Id: ${number}`,
    'Content-Type: multipart/mixed; boundary="sample boundary"',
    '',
  ].join('\r\n');
}

function bodyOf(bytes: number, random: () => number): Buffer {
  const text = [
    'A preamble.',
    '--sample boundary',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'Grüße aus Köln — 8-bit, with trailing spaces   ',
    '.',
    '..two dots',
    '.one dot and a word',
    'From here on nothing is quoted',
    '\tA tab, then an empty line:',
    '',
    'x'.repeat(990),
    '--sample boundary',
    'Content-Type: application/octet-stream',
    'Content-Transfer-Encoding: base64',
    '',
    '',
  ].join('\r\n');
  return Buffer.concat([Buffer.from(text), base64Lines(bytes, random), Buffer.from('--sample boundary--\r\n\r\n\r\n')]);
}

/** Base64 of a block that differs for each message, repeated: real randomness for 100 MiB would be the slowest part of the test. */
function base64Lines(bytes: number, random: () => number): Buffer {
  const block = Buffer.from(Array.from({ length: 57 * 16 }, () => Math.floor(random() * 256)));
  const lines = block.toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  return Buffer.alloc(Math.ceil((bytes * 4) / 3 / 78) * 78, lines);
}

function stuff(body: Buffer): Buffer {
  return Buffer.from(body.toString('latin1').replaceAll(/^\./gm, '..'), 'latin1');
}
