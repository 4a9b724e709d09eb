/** The session and the scanner against references that are slow and plain. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ContentScanner } from '../../../relay/accept/content-scanner.ts';
import { LineEndingFixer } from '../../../relay/accept/line-endings.ts';
import { parsePathArgument } from '../../../relay/accept/parameters.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

const isBreak = (character: string | undefined): boolean => character === '\r' || character === '\n';

interface Framing {
  readonly end: number | undefined;
  readonly nearMiss: boolean;
  readonly output: string;
  readonly bare: boolean;
}

/** Where DATA end (RFC 5321 s4.1.1.4, s4.5.2), looked at character by character over the whole of it. */
function frame(text: string): Framing {
  const dot = [...text].findIndex((_, at) => isLineOfOneDot(text, at));
  const output = withoutDots(dot === -1 ? text : text.slice(0, dot));
  if (dot === -1) {
    // The last CR may still get its LF.
    return { end: undefined, nearMiss: false, output, bare: isBare(text.endsWith('\r') ? text.slice(0, -1) : text) };
  }
  const proper = isProperStart(text, dot);
  const ends = proper && text.startsWith('\r\n', dot + 1);
  const nearMiss = !ends && !(proper && text.slice(dot + 1) === '\r');
  return { end: ends ? dot + 3 : undefined, nearMiss, output, bare: isBare(text.slice(0, dot)) };
}

function isProperStart(text: string, at: number): boolean {
  return at === 0 || text.slice(at - 2, at) === '\r\n';
}

function isLineOfOneDot(text: string, at: number): boolean {
  return text[at] === '.' && (at === 0 || isBreak(text[at - 1])) && isBreak(text[at + 1]);
}

function withoutDots(text: string): string {
  return [...text].filter((character, at) => character !== '.' || !isProperStart(text, at)).join('');
}

function isBare(text: string): boolean {
  return /\r(?!\n)|(?<!\r)\n/.test(text);
}

const wireText = fc
  .array(fc.constantFrom('\r\n', '\r', '\n', '.', '..', 'a', '\r\n.', '\r\n.\r', '\r\n.\r\n', 'xyz'), { maxLength: 30 })
  .map(parts => parts.join(''));
const cuts = fc.array(fc.nat(), { maxLength: 6 });

/** The text in pieces, as TCP may deliver it. */
function pieces(text: string, at: readonly number[]): Buffer[] {
  const sorted = [0, ...at.map(cut => cut % (text.length + 1)), text.length].sort((a, b) => a - b);
  return sorted.slice(1).map((end, index) => Buffer.from(text.slice(sorted[index], end), 'latin1'));
}

test('the scanner frames DATA as the reference does, however it is cut', () => {
  fc.assert(
    fc.property(wireText, cuts, (text, at) => {
      const expected = frame(text);
      const scanner = new ContentScanner({ dotStuffed: true, maxLineBytes: 1000 });
      let output = '';
      let consumed = 0;
      for (const piece of pieces(text, at)) {
        if (scanner.ended || scanner.nearMiss) break;
        consumed += scanner.scan(piece, 0);
        output += scanner.output.toString('latin1');
      }
      assert.equal(scanner.nearMiss, expected.nearMiss);
      if (expected.nearMiss) return;
      assert.equal(scanner.ended, expected.end !== undefined);
      assert.equal(consumed, expected.end ?? text.length);
      assert.equal(output, expected.output);
      assert.equal(scanner.bareLineEnding, expected.bare);
    }),
    { numRuns: 5000 },
  );
});

test('without dots nothing is removed, and lines are measured across pieces', () => {
  fc.assert(
    fc.property(wireText, cuts, fc.integer({ min: 1, max: 8 }), (text, at, maxLineBytes) => {
      const scanner = new ContentScanner({ dotStuffed: false, maxLineBytes });
      const output = pieces(text, at).map(piece => {
        scanner.scan(piece, 0);
        return scanner.output.toString('latin1');
      });
      assert.equal(output.join(''), text);
      scanner.finish();
      assert.equal(scanner.bareLineEnding, isBare(text));
      assert.equal(
        scanner.lineTooLong,
        text.split(/\r\n|\r|\n/).some(line => line.length > maxLineBytes),
      );
    }),
    { numRuns: 3000 },
  );
});

test('fixed line ends are all CRLF, with the same lines between them', () => {
  fc.assert(
    fc.property(wireText, cuts, (text, at) => {
      const scanner = new ContentScanner({ dotStuffed: false, maxLineBytes: 1000 });
      const fixer = new LineEndingFixer();
      let fixed = '';
      for (const piece of pieces(text, at)) {
        scanner.scan(piece, 0);
        fixed += fixer.fix(scanner.output, !scanner.bareLineEnding).toString('latin1');
      }
      fixed += fixer.finish().toString('latin1');
      assert.equal(fixed, text.split(/\r\n|\r|\n/).join('\r\n'));
    }),
    { numRuns: 3000 },
  );
});

test('no argument makes the parser throw, and what it takes is put together again', () => {
  const word = fc.constantFrom(
    'FROM:',
    '<',
    '>',
    'a@b.c',
    ' ',
    'SIZE=1',
    'BODY',
    '"',
    '\\',
    '@x:',
    'ü',
    '=',
    'NOTIFY=NEVER',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(word, { maxLength: 10 }).map(parts => parts.join('')),
        fc.string({ unit: 'binary' }),
      ),
      text => {
        const parsed = parsePathArgument(text, 'FROM');
        if (typeof parsed === 'string') return;
        const parameters = [...parsed.parameters].map(([keyword, value]) =>
          value === undefined ? keyword : `${keyword}=${value}`,
        );
        const again = `FROM:<${parsed.path}>${parameters.map(parameter => ` ${parameter}`).join('')}`;
        assert.equal(again.toUpperCase(), text.replaceAll(/ +(?= |$)/g, '').toUpperCase());
      },
    ),
    { numRuns: 3000 },
  );
});

/** Commands that follow each other in some sense often, and in none at times. */
const body = wireText.map(text => `${header}\r\n${text}`);
const part = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('MAIL FROM:<a@example.com>\r\n', 'RCPT TO:<b@example.net>\r\n') },
  {
    weight: 4,
    arbitrary: body.map(text => `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${text}\r\n.\r\n`),
  },
  {
    weight: 2,
    arbitrary: body.map(
      text => `RSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nBDAT ${text.length} LAST\r\n${text}`,
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(body, fc.nat(200), fc.boolean())
      .map(([text, size, last]) => `BDAT ${size}${last ? ' LAST' : ''}\r\n${text}`),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom('DATA\r\n', 'RSET\r\n', 'NOOP\r\n', 'EHLO x\r\n', 'HELP\r\n', '.\r\n', 'VRFY x\r\n'),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 40 }).map(bytes => `${Buffer.from(bytes).toString('latin1')}\r\n`),
  },
  { weight: 1, arbitrary: wireText },
);

/** What the client said, cut by the rules and by the replies that came: the messages that were said to be queued. */
class Replay {
  readonly queued: string[] = [];
  readonly #sent: string;
  readonly #replies: string[];
  #chunks = '';
  #at = 0;

  constructor(sent: string, replies: readonly string[]) {
    this.#sent = sent;
    this.#replies = [...replies];
    while (this.#replies.length > 0 && this.#readLine());
  }

  #readLine(): boolean {
    const end = this.#sent.indexOf('\n', this.#at);
    if (end === -1) return false;
    const line = this.#sent.slice(this.#at, end).replace(/\r$/, '');
    this.#at = end + 1;
    const [, size, last] = /^BDAT ([0-9]{1,15})( LAST)?$/i.exec(line) ?? [];
    if (size !== undefined) this.#readChunk(Number(size), last !== undefined);
    else if (this.#replies.shift()?.startsWith('354')) return this.#readData();
    // Every other reply that may come between chunks ends the message or leaves it as it is.
    else if (!/^(NOOP|HELP|VRFY|RCPT|DATA|MAIL)/i.test(line)) this.#chunks = '';
    return true;
  }

  #readChunk(size: number, last: boolean): void {
    this.#chunks += this.#sent.slice(this.#at, this.#at + size);
    this.#at += size;
    const reply = this.#replies.shift() ?? '';
    if (reply.includes('queued'))
      this.queued.push(this.#chunks.endsWith('\r\n') ? this.#chunks : `${this.#chunks}\r\n`);
    if (last || reply.startsWith('503')) this.#chunks = '';
  }

  #readData(): boolean {
    const { end, output } = frame(this.#sent.slice(this.#at));
    if (end === undefined) return false;
    this.#at += end;
    this.#chunks = '';
    if (this.#replies.shift()?.includes('queued')) this.queued.push(output);
    return true;
  }
}

test('whatever a client sends: replies are well-formed, and what was queued is what the reference says', async () => {
  await using accept = await startAccept({ limits: { maxErrorsPerSession: 1000 } });
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), cuts, async (parts, at) => {
      const before = accept.messages.length;
      const sent = parts.join('');
      using client = await Dialogue.open(accept.port());
      for (const piece of pieces(sent, at)) {
        client.send(piece);
        await new Promise(resolve => setImmediate(resolve));
      }
      client.socket.end();
      const transcript = await client.untilClosed();
      assert.match(transcript, /^(?:[2-5]\d\d[- ][\x20-\x7e]*\r\n)*$/);
      const replies = transcript.match(/(?:\d{3}-[^\r]*\r\n)*\d{3} [^\r]*\r\n/g) ?? [];
      const queued = accept.messages.slice(before).map(({ content }) => content.bytes?.toString('latin1'));
      assert.deepEqual(queued, new Replay(sent, replies).queued);
    }),
    { numRuns: 300 },
  );
  // Otherwise the above would compare nothing with nothing. Some 130 it is, by chance.
  assert.ok(accept.messages.length > 20, `${accept.messages.length} messages`);
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(`${header}\r\n.\r\n`);
  assert.match(await client.reply(), /^250 /);
  const stored = accept.spools.filter(spool => !spool.finished);
  assert.ok(
    stored.every(spool => spool.discarded),
    'a spool was neither queued nor given back',
  );
});
