import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Framer, UnsafeContentError } from '../../../relay/deliver/content.ts';

function frame(chunks: readonly Buffer[], framing: 'Data' | 'Bdat'): Buffer {
  const framer = new Framer(framing);
  const pieces = chunks.flatMap(chunk => framer.push(chunk));
  return Buffer.concat([...pieces, framer.end()]);
}

/** As a server reads it (RFC 5321 s4.5.2); and nothing may follow the end. */
function unframe(wire: Buffer): string {
  const text = wire.toString('latin1');
  const end = text.startsWith('.\r\n') ? 0 : text.indexOf('\r\n.\r\n') + 2;
  assert.ok(text.startsWith('.\r\n') || end >= 2, 'has an end');
  assert.equal(end + 3, text.length, 'ends at its end');
  return text.slice(0, end).replaceAll(/(^|\r\n)\./g, '$1');
}

const line = fc.string({ unit: fc.constantFrom('.', 'a', '\u0000', '\u00ff', ' '), maxLength: 8 });
const safeContent = fc.array(line, { maxLength: 30 }).map(lines => lines.map(each => `${each}\r\n`).join(''));
const cuts = fc.array(fc.nat(), { maxLength: 8 });

function cut(content: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map(place => place % (content.length + 1)).sort((a, b) => a - b), content.length];
  return places.slice(1).map((end, n) => content.subarray(places[n], end));
}

test('whatever the content and wherever it is cut, a server reads back the same bytes', () => {
  fc.assert(
    fc.property(safeContent, cuts, (text, at) => {
      const content = Buffer.from(text, 'latin1');
      assert.equal(unframe(frame(cut(content, at), 'Data')), text);
      assert.equal(frame(cut(content, at), 'Bdat').toString('latin1'), text);
    }),
  );
});

test('content with a bare CR or LF never gets an end, wherever it is cut', () => {
  const any = fc.string({ unit: fc.constantFrom('\r', '\n', '.', 'a', '\r\n'), maxLength: 20 });
  fc.assert(
    fc.property(any, cuts, (text, at) => {
      const bare = /\r(?!\n)|(?<!\r)\n/.test(text);
      for (const framing of ['Data', 'Bdat'] as const) {
        const act = () => frame(cut(Buffer.from(text), at), framing);
        if (bare) assert.throws(act, UnsafeContentError);
        else act();
      }
    }),
  );
});

test('content that does not end in a line end gets one, so that the dot stands alone', () => {
  assert.equal(frame([Buffer.from('a')], 'Data').toString(), 'a\r\n.\r\n');
  assert.equal(frame([], 'Data').toString(), '.\r\n');
});
