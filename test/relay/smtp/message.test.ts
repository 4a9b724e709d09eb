import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { endOfHeader, fieldValue, headerFields } from '../../../relay/smtp/message.ts';

test('the header ends after the first blank line', () => {
  assert.equal(endOfHeader(Buffer.from('A: b\r\n\r\nbody\r\n\r\n')), 8);
  assert.equal(endOfHeader(Buffer.from('\r\nbody')), 2);
  assert.equal(endOfHeader(Buffer.from('A: b\r\n')), -1);
  assert.equal(endOfHeader(Buffer.from('A: b\n\nbody')), -1);
  assert.equal(endOfHeader(Buffer.alloc(0)), -1);
});

test('the end of the header is found wherever the pieces are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('\r', '\n', '\r\n', 'A: b', ' '), { maxLength: 30 }), pieces => {
      const bytes = Buffer.from(pieces.join(''));
      const whole = endOfHeader(bytes);
      let found = -1;
      for (let length = 1; length <= bytes.length && found === -1; length += 1) {
        found = endOfHeader(bytes.subarray(0, length), length - 1);
      }
      assert.equal(found, whole);
    }),
  );
});

test('fields keep their folds, their order and their bytes', () => {
  const block = Buffer.from('Subject: a\r\n\tb\r\n  c\r\nX-Y:z\r\nsubject : d\r\n\r\nnot: this\r\n');
  const fields = [...headerFields(block)].map(({ name, raw }) => [name, raw.toString()]);
  assert.deepEqual(fields, [
    ['subject', 'Subject: a\r\n\tb\r\n  c\r\n'],
    ['x-y', 'X-Y:z\r\n'],
    ['subject', 'subject : d\r\n'],
  ]);
});

test('a line that is no header field has an empty name', () => {
  const names = (text: string): string[] => [...headerFields(Buffer.from(text))].map(field => field.name);
  assert.deepEqual(names('From nobody Mon\r\nA: b\r\n'), ['', 'a']);
  assert.deepEqual(names('no colon\r\n'), ['']);
  assert.deepEqual(names(': b\r\n'), ['']);
  assert.deepEqual(names('A b: c\r\n'), ['']);
  assert.deepEqual(names('Frém: c\r\n'), ['']);
  assert.deepEqual(names(' leading: fold\r\nA: b'), ['', 'a']);
});

test('a value is unfolded and trimmed', () => {
  const [field] = headerFields(Buffer.from('A: \t one\r\n  two \r\n'));
  assert.ok(field !== undefined);
  assert.equal(fieldValue(field), 'one  two');
});

test('a field with a million blanks costs no more than its bytes', () => {
  const blanks = ' '.repeat(1_000_000);
  const started = process.cpuUsage();
  for (const text of [`A${blanks}b: c\r\n`, `A:${blanks}b\r\n`, `A: b${blanks}c\r\n`]) {
    for (const field of headerFields(Buffer.from(text))) fieldValue(field);
  }
  const { user, system } = process.cpuUsage(started);
  assert.ok(user + system < 500_000, `${(user + system) / 1000} ms of CPU`);
});

test('the fields of any block, put together, are the block', () => {
  const piece = fc.constantFrom('A: b', '\r\n', ' ', '\t', ':', 'x', '\n', '\r');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
      const block = Buffer.from(pieces.join(''));
      const joined = Buffer.concat([...headerFields(block)].map(({ raw }) => raw));
      assert.deepEqual(joined, block.subarray(0, joined.length));
      const rest = block.subarray(joined.length).toString();
      assert.ok(rest === '' || /^\r?\n/.test(rest), JSON.stringify(rest));
    }),
  );
});
