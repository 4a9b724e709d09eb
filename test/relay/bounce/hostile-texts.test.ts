/** A DSN quotes strangers. Whatever they write, Python's email package, which shares nothing with us, finds what we meant and no more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildDsn } from '../../../relay/bounce/bounce.ts';
import type { RecipientEvent } from '../../../relay/bounce/decision.ts';
import { createMetrics } from '../../../relay/metrics.ts';
import { createSigner } from '../../../relay/sign/signer.ts';
import { buildConfig } from '../../support/policy-builders.ts';
import { mustRun } from '../../support/processes.ts';
import { programsMissing } from '../../support/programs.ts';
import { buildClaim, buildEvent, buildSender, nowMs } from './builders.ts';

interface Parsed {
  readonly fields: readonly string[];
  readonly types: readonly string[];
  readonly groups: readonly Readonly<Record<string, string>>[];
  readonly defects: readonly string[];
  readonly human: string;
}

const script = `
import base64, email.parser, email.policy, json, sys
answers = []
for text in json.load(sys.stdin):
    raw = base64.b64decode(text).replace(b'message/global-delivery-status', b'message/delivery-status')
    message = email.parser.BytesParser(policy=email.policy.SMTP).parsebytes(raw)
    parts = message.get_payload()
    defects = [repr(d) for part in [message, *parts] for d in part.defects]
    groups = [{k.lower(): str(v).replace('\\r\\n', '').replace('\\n', '') for k, v in group.raw_items()} for group in parts[1].get_payload()]
    for group in parts[1].get_payload():
        assert len(set(k.lower() for k in group.keys())) == len(group.keys()), group.keys()
        assert not group.get_payload(), group.get_payload()
    answers.append({
        'fields': sorted(k.lower() for k in message.keys()),
        'types': [message.get_content_type()] + [part.get_content_type() for part in parts],
        'groups': groups,
        'defects': defects,
        'human': parts[0].get_payload(decode=True).decode(),
    })
print(json.dumps(answers))
`;

async function parseWithPython(dsns: readonly Buffer[]): Promise<readonly Parsed[]> {
  const input = JSON.stringify(dsns.map(dsn => dsn.toString('base64')));
  return JSON.parse(await mustRun('/usr/bin/python3', ['-c', script], { input, timeoutMs: 60_000 }));
}

const piece = fc.constantFrom(
  'text', ' ', '\r\n', '\n', '\r', '\r\n\r\n', '\r\nX-Injected: yes', '\r\n--=_postroad_0002dsn_0\r\n', '\0', '\u001b[2J', 'ä', '\u2028',
  '\u202e', '\u{1F600}', '\ud800', 'a'.repeat(3000), 'Action: delivered', ';', ':', '<', '>', '=?utf-8?Q?a?=', '+0D+0A', '\t', '=',
); // biome-ignore format: one alphabet
const hostile = fc.array(piece, { maxLength: 6 }).map(pieces => pieces.join(''));

const event = fc
  .record({
    action: fc.constantFrom('failed', 'delayed', 'delivered', 'relayed'),
    code: fc.integer({ min: 200, max: 599 }),
    enhanced: fc.oneof(hostile, fc.constantFrom('5.1.1', '4.2.2', '2.0.0', '')),
    text: hostile,
    reason: hostile,
    remoteMta: fc.option(hostile, { nil: undefined }),
    orcpt: fc.option(
      fc.oneof(
        hostile,
        hostile.map(text => `rfc822;${text}`),
        hostile.map(text => `utf-8;${text}`),
      ),
      { nil: undefined },
    ),
    forwardPath: fc.oneof(fc.emailAddress(), hostile),
    hasReply: fc.boolean(),
  })
  .map(({ action, code, enhanced, text, reason, remoteMta, orcpt, forwardPath, hasReply }) =>
    buildEvent({
      action: action as RecipientEvent['action'],
      reason,
      ...(hasReply ? { reply: { code, enhanced, text } } : {}),
      ...(remoteMta === undefined ? {} : { remoteMta }),
      ...(action === 'delayed' ? { willRetryUntilMs: nowMs } : {}),
      recipient: { forwardPath, notify: ['Failure', 'Delay', 'Success'], ...(orcpt === undefined ? {} : { orcpt }) },
    }),
  );

const scene = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 4 }),
  envid: fc.option(hostile, { nil: undefined }),
  ret: fc.constantFrom('FULL', 'HDRS'),
  content: fc
    .tuple(hostile, hostile)
    .map(([header, body]) => `Message-ID: <${header}@x>\r\nSubject: ${header}\r\n\r\n${body}`),
});

const signer = createSigner({ state: () => ({ secrets: { dkimKeys: new Map() } }), metrics: createMetrics() });

async function build({
  events,
  envid,
  ret,
  content,
}: typeof scene extends fc.Arbitrary<infer T> ? T : never): Promise<Buffer> {
  const sender = buildSender({ ret: ret as 'FULL' | 'HDRS', ...(envid === undefined ? {} : { envid }) });
  const dsn = await buildDsn({
    claim: buildClaim({ sender }, content),
    recipients: events,
    config: buildConfig(),
    newId: () => '0002dsn',
    nowMs,
    signer,
  });
  return dsn?.content.bytes ?? assert.fail('no DSN');
}

const ownFields = [
  'auto-submitted', 'content-transfer-encoding', 'content-type', 'date', 'from', 'message-id', 'mime-version', 'subject', 'to',
]; // biome-ignore format: one list
const groupFields = [
  'original-recipient', 'final-recipient', 'action', 'status', 'remote-mta', 'diagnostic-code', 'last-attempt-date', 'will-retry-until',
  'x-postroad-reason',
]; // biome-ignore format: one list

test('a DSN parses back, whatever the texts in it', { skip: programsMissing('python3') }, async t => {
  const seed = Date.now();
  t.diagnostic(`seed ${seed}`);
  const scenes = fc.sample(scene, { numRuns: 400, seed });
  const dsns = await Promise.all(scenes.map(build));
  const parsed = await parseWithPython(dsns);
  assert.equal(parsed.length, scenes.length);
  for (const [index, { events }] of scenes.entries()) {
    const found = parsed[index] ?? assert.fail();
    const story = JSON.stringify(scenes[index]);
    const fields = found.fields.filter(field => field !== 'in-reply-to' && field !== 'references');
    assert.deepEqual(fields, ownFields, story);
    assert.deepEqual([found.types.length, ...found.types.slice(0, 2)], [4, 'multipart/report', 'text/plain'], story);
    assert.deepEqual(found.defects, [], story);
    assert.equal(found.groups.length, events.length + 1, story);
    for (const [position, { action }] of events.entries()) {
      const group = found.groups[position + 1] ?? {};
      assert.equal(group['action']?.trim(), action, story);
      assert.match(group['status'] ?? '', /^ ?[245]\.\d{1,3}\.\d{1,3}$/, story);
      for (const name of Object.keys(group)) assert.ok(groupFields.includes(name), `${name} in ${story}`);
    }
    assert.doesNotMatch(found.human, /[\0\u001b\u2028\u202e]/, story);
  }
});

test('every line of a DSN is at most 998 bytes and ends in CRLF, and there is no NUL', async () => {
  await fc.assert(
    fc.asyncProperty(scene, async chosen => {
      const bytes = await build(chosen);
      assert.ok(!bytes.includes(0));
      for (const line of bytes.toString('latin1').split('\r\n')) {
        assert.ok(line.length <= 998);
        assert.doesNotMatch(line, /[\r\n]/);
      }
    }),
    { numRuns: 300 },
  );
});
