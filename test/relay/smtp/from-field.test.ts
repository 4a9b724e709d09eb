import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import addressparser from 'nodemailer/lib/addressparser/index.js';
import { normalizeDomain } from '../../../relay/smtp/domain.ts';
import { parseFromHeader } from '../../../relay/smtp/from-field.ts';

function authors(header: string | Buffer): readonly string[] | string {
  const from = parseFromHeader(typeof header === 'string' ? Buffer.from(header) : header);
  return from.ok ? from.authors.map(author => author.text) : from.fault;
}

const accepted: readonly (readonly [story: string, value: string, authors: readonly string[]])[] = [
  ['a bare address', 'bob@example.com', ['bob@example.com']],
  ['angle brackets alone', '<bob@example.com>', ['bob@example.com']],
  ['a display name', 'Bob Smith <bob@example.com>', ['bob@example.com']],
  ['a display name with dots (RFC 5322 s4.1)', 'Bob Q. Smith Jr. <bob@example.com>', ['bob@example.com']],
  ['a quoted display name with specials', '"Smith, Bob; (\\"x\\")" <bob@example.com>', ['bob@example.com']],
  ['a quoted display name that is an address', '"alice@other.example" <bob@example.com>', ['bob@example.com']],
  ['a UTF-8 display name (RFC 6532)', 'Jörg Müller <bob@example.com>', ['bob@example.com']],
  ['a UTF-8 address', 'Jörg <jörg@dömäin.example>', ['jörg@dömäin.example']],
  ['encoded words', '=?utf-8?Q?J=C3=B6rg?= =?ISO-8859-1?B?TfxsbGVy?= <bob@example.com>', ['bob@example.com']],
  ['an ISO-2022-JP name, whose bytes look like brackets', '=?ISO-2022-JP?B?GyRCJTwlQBsoQg==?= <b@e.com>', ['b@e.com']],
  ['a comment after the address', 'bob@example.com (Bob Smith)', ['bob@example.com']],
  ['a comment within a comment', '(a (b) c) bob@example.com', ['bob@example.com']],
  ['folds', '\r\n Bob\r\n\t<bob@example.com>', ['bob@example.com']],
  ['two mailboxes', 'a@one.example, "B" <b@two.example>', ['a@one.example', 'b@two.example']],
  ['one group (RFC 6854)', 'Team: a@one.example, B <b@two.example>;', ['a@one.example', 'b@two.example']],
  ['an address literal', 'bob@[192.0.2.1]', ['bob@[192.0.2.1]']],
  ['a quoted local-part without specials', '"bob..smith"@example.com', ['"bob..smith"@example.com']],
];

for (const [story, value, expected] of accepted) {
  test(`From may have ${story}`, () => {
    assert.deepEqual(authors(`To: x@y.example\r\nFrom: ${value}\r\nSubject: s\r\n\r\n`), expected);
  });
}

/** Each of these shows one address to some receivers and another, or none, to others. */
const refused: readonly (readonly [story: string, value: string])[] = [
  ['nothing', ''],
  ['white space only', '  '],
  ['no address', 'Bob'],
  ['two angle addresses', '<a@victim.example> <b@mine.example>'],
  ['an address before the angle address', 'a@victim.example <b@mine.example>'],
  ['an address after the angle address', '<b@mine.example> a@victim.example'],
  ['nested angle brackets', '<<b@mine.example>>'],
  ['a source route', '<@victim.example:b@mine.example>'],
  ['two @', 'a@victim.example@mine.example'],
  ['an empty entry at the end', 'b@mine.example,'],
  ['an empty entry at the start', ',b@mine.example'],
  ['an empty entry in the middle', 'a@mine.example,,b@mine.example'],
  ['a semicolon between addresses', 'a@mine.example; b@mine.example'],
  ['a group with nobody in it', 'Undisclosed:;'],
  ['a group beside a mailbox', 'Team: a@mine.example;, b@mine.example'],
  ['a comment behind a group', 'A: a@mine.example; (x)'],
  ['a group without a name', ': a@mine.example;'],
  ['a group within a group', 'A: B: a@mine.example;;'],
  ['a group that is never closed', 'Team: a@mine.example'],
  ['an open quote', '"Bob <b@mine.example>'],
  ['an open comment', 'b@mine.example (x'],
  ['an address in a comment', 'b@mine.example (a@victim.example)'],
  ['a quote in a comment', '(") "a@victim.example, " <b@mine.example>'],
  ['a backslash in a comment', 'b@mine.example (\\)'],
  ['a comment within the address', 'b(x)@mine.example'],
  ['a comment before the @ that hides a domain', 'a@victim.example(x)@mine.example'],
  ['white space around the @', 'b @ mine.example'],
  ['white space within the brackets', '< b@mine.example >'],
  ['an escaped quote before an address in a display name', '"x\\" <a@victim.example>, \\"" <b@mine.example>'],
  ['an escaped quote and a bare address in a display name', '"x\\" a@victim.example, \\"" <b@mine.example>'],
  ['an angle address within the display name', '"Bob <a@victim.example>" <b@mine.example>'],
  ['an encoded angle address', '=?utf-8?Q?Bob_=3Ca=40victim.example=3E?= <b@mine.example>'],
  ['an encoded angle address in quotes', '"=?utf-8?Q?=3Ca=40victim.example=3E?=" <b@mine.example>'],
  ['an encoded NUL', '=?utf-8?Q?a=00?= <b@mine.example>'],
  ['an encoded newline', '=?utf-8?B?YQ1i?= <b@mine.example>'],
  ['an unknown encoding', '=?utf-8?X?abc?= <b@mine.example>'],
  ['an encoded word as local-part', '=?utf-8?Q?a=40victim.example?=@mine.example'],
  ['an @ in a quoted local-part', '"a@victim.example"@mine.example'],
  ['a comma in a quoted local-part', '"a@victim.example,"@mine.example'],
  ['brackets in a quoted local-part', '"<a>"@mine.example'],
  ['a quoted local-part with spaces', '"a b"@mine.example'],
  ['a bare backslash', 'a\\b@mine.example'],
  ['a full-width domain', 'b@ｍine.example'],
  ['a domain with a trailing dot', 'b@mine.example.'],
  ['a control character', 'b@mine.example\u0007'],
  ['a C1 control character', 'Bob\u0085 <b@mine.example>'],
  ['a line of white space within', 'b@mine.example\r\n \r\n , a@victim.example'],
  ['an empty route', '<>'],
  ['a display name that begins with a dot', '. Bob <b@mine.example>'],
];

for (const [story, value] of refused) {
  test(`From must not have ${story}`, () => {
    assert.equal(typeof authors(`From: ${value}\r\n\r\n`), 'string', JSON.stringify(authors(`From: ${value}\r\n\r\n`)));
  });
}

const badHeaders: readonly (readonly [story: string, header: string | Buffer, fault: RegExp])[] = [
  ['no From', 'To: a@b.example\r\n\r\n', /no From/],
  ['a From only in the body', 'To: a@b.example\r\n\r\nFrom: a@b.example\r\n', /no From/],
  ['two From fields', 'From: a@b.example\r\nFrom: a@b.example\r\n\r\n', /more than one/],
  ['two From fields in other cases', 'From: a@b.example\r\nfROM: c@d.example\r\n\r\n', /more than one/],
  [
    'a second From with white space before its colon',
    'From: a@b.example\r\nFrom : c@d.example\r\n\r\n',
    /more than one/,
  ],
  ['a From with white space before its colon', 'From : a@b.example\r\n\r\n', /before the colon/],
  ['a line that is no field', 'From: a@b.example\r\n\u00a0, c@d.example\r\n\r\n', /no name and colon/],
  ['an mbox line', 'From a@b.example Mon\r\nFrom: a@b.example\r\n\r\n', /no name and colon/],
  ['a NUL elsewhere', 'X: \0\r\nFrom: a@b.example\r\n\r\n', /NUL/],
  ['a bare CR', 'X: y\rFrom: c@d.example\r\nFrom: a@b.example\r\n\r\n', /CR or LF/],
  ['a bare LF', 'X: y\nFrom: c@d.example\r\nFrom: a@b.example\r\n\r\n', /CR or LF/],
  ['bytes that are no UTF-8', Buffer.from('From: B\xe4r <a@b.example>\r\n\r\n', 'latin1'), /UTF-8/],
  ['a field of 20 KiB', `From: ${'a'.repeat(20_000)}@b.example\r\n\r\n`, /longer/],
  ['101 authors', `From: ${Array(101).fill('a@b.example').join(',')}\r\n\r\n`, /more than 100/],
];

for (const [story, header, fault] of badHeaders) {
  test(`a header is refused that has ${story}`, () => {
    const found = authors(header);
    assert.ok(typeof found === 'string', JSON.stringify(found));
    assert.match(found, fault);
  });
}

/** What a receiver may take for an address that is not careful about comments or brackets. */
function domainsAnyoneCouldSee(value: string): (string | undefined)[] {
  const withoutQuoted = value.replaceAll(/"(?:[^"\\]|\\.)*"/g, '"');
  return [...withoutQuoted.matchAll(/@([^\s<>()[\]\\,;:@"]+)/g)].map(([, domain]) => normalizeDomain(domain ?? ''));
}

test('however a field is put together, no domain outside of quotes goes unnamed', () => {
  const pieces =
    'a@victim.example|b@mine.example|<|>|<b@mine.example>|"|\\|(|)|,|;|:| |\t|Bob|@|.|=?utf-8?Q?a?=|[|]|\r\n |ä';
  let taken = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces.split('|')), { minLength: 1, maxLength: 9 }), chosen => {
      const value = chosen.join('');
      const from = parseFromHeader(Buffer.from(`From: ${value}\r\n\r\n`));
      if (!from.ok) return;
      taken += 1;
      const named = from.authors.map(author => author.domain);
      for (const domain of domainsAnyoneCouldSee(value.replaceAll('\r\n', ''))) {
        assert.ok(domain !== undefined && named.includes(domain), `${JSON.stringify(value)} parsed as ${named}`);
      }
    }),
    { numRuns: 20_000 },
  );
  assert.ok(taken > 100, `only ${taken} fields were taken: the property shows nothing`);
});

test("what is taken reads the same to nodemailer's lenient parser", () => {
  const pieces =
    'a@one.example|b@two.example|<b@two.example>|"a@victim.example"|"x, y"|(x)|(x, y)|=?utf-8?Q?=40victim.example?=|,|;|:| |\t|Bob|.|ä';
  let taken = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces.split('|')), { minLength: 1, maxLength: 8 }), chosen => {
      const value = chosen.join('');
      const from = parseFromHeader(Buffer.from(`From: ${value}\r\n\r\n`));
      if (!from.ok) return;
      taken += 1;
      const lenient = addressparser(value, { flatten: true }).map(({ address }) => address);
      assert.deepEqual(
        lenient,
        from.authors.map(author => author.text),
        JSON.stringify(value),
      );
    }),
    { numRuns: 20_000 },
  );
  assert.ok(taken > 100, `only ${taken} fields were taken: the property shows nothing`);
});

test('a header made to be slow is judged in time that grows with its length only', () => {
  const filler = 16_000;
  const headers = [
    `From: "${'<'.repeat(filler)}" <b@mine.example>\r\n`,
    `From: "${'=?'.repeat(filler / 2)}" <b@mine.example>\r\n`,
    `From: ${'('.repeat(filler)}\r\n`,
    `From: ${'\r\n x'.repeat(filler / 4)} <b@mine.example>\r\n`,
    `From: b@mine.example\r\nX${' '.repeat(1_000_000)}y: z\r\n`,
    `From: b@mine.example\r\nX:${' '.repeat(1_000_000)}y\r\n`,
  ];
  const started = process.cpuUsage();
  for (const header of headers) parseFromHeader(Buffer.from(header));
  const { user, system } = process.cpuUsage(started);
  // Some 20 ms; with the square of any of these it would be seconds.
  assert.ok(user + system < 150_000, `${(user + system) / 1000} ms of CPU`);
});

test('any bytes are either refused with a reason or name at least one author', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      const from = parseFromHeader(Buffer.concat([Buffer.from('From: '), bytes, Buffer.from('\r\n\r\n')]));
      if (from.ok) assert.ok(from.authors.length > 0);
      else assert.match(from.fault, /^[\x20-\x7e]{10,200}$/);
    }),
    { numRuns: 3000 },
  );
});
