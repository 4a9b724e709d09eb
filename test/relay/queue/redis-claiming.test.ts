import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Claiming } from '../../../relay/queue/redis/claiming.ts';
import { recordOf } from '../../../relay/queue/redis/codec.ts';
import type { Asking } from '../../../relay/queue/redis/conversation.ts';
import { partitionOf } from '../../../relay/queue/redis/keys.ts';
import { Owner } from '../../../relay/queue/redis/owner.ts';
import { createTestClock, message, to } from './messages.ts';

const atOnce = 200;
const request = { limit: 500, limitPerDestination: 500, leaseMs: 30_000 };

/** One message with as many recipients as one script leases. */
function fullAnswer(): (number | Buffer)[] {
  const sent = message(createTestClock(), {
    recipients: Array.from({ length: atOnce }, (_, n) => to(`r${n}@x.example`)),
  });
  const body = Buffer.concat([sent.head, sent.content.bytes ?? Buffer.alloc(0)]);
  const record = recordOf(sent, { body, pieces: 0, compressed: false }, 'call');
  const indices = [...sent.recipients.keys()];
  const claim = [
    'owner.0-1.1',
    sent.id,
    'direct/x.example',
    indices,
    indices.map(() => ''),
    JSON.stringify(record),
    body,
  ];
  return [0, claim.map(part => (typeof part === 'string' ? Buffer.from(part) : part))] as (number | Buffer)[];
}

function claimingOf(answers: readonly (readonly (number | Buffer)[] | Error)[]): Claiming {
  const left = [...answers];
  const conversation: Asking = {
    ask() {
      const answer = left.shift() ?? [0];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ reply: answer, doubtful: false });
    },
    command: () => Promise.reject(new Error('nothing asks for that')),
    close: () => undefined,
  };
  return new Claiming({ conversation, partitions: [partitionOf('c:', 0, 1)], owner: new Owner(), nowMs: () => 0 });
}

test('what a claim has leased when Redis goes away in the middle of it is delivered, not left to its lease', async () => {
  const claims = await claimingOf([fullAnswer(), new Error('away')]).claim(request);
  assert.deepEqual(
    claims.map(({ recipients }) => recipients.length),
    [atOnce],
  );
});

test('a claim that finds Redis away says so', async () => {
  await assert.rejects(claimingOf([new Error('away')]).claim(request), /away/);
});
