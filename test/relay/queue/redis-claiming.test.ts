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
  return answerOf('owner.0-1.1', atOnce);
}

function answerOf(token: string, count: number): (number | Buffer)[] {
  const sent = message(createTestClock(), {
    recipients: Array.from({ length: count }, (_, n) => to(`r${n}@x.example`)),
  });
  const body = Buffer.concat([sent.head, sent.content.bytes ?? Buffer.alloc(0)]);
  const record = recordOf(sent, { body, pieces: 0, compressed: false }, 'call');
  const indices = [...sent.recipients.keys()];
  const claim = [token, sent.id, 'direct/x.example', indices, indices.map(() => ''), JSON.stringify(record), body];
  return [0, claim.map(part => (typeof part === 'string' ? Buffer.from(part) : part))] as (number | Buffer)[];
}

const surroundings = {
  ...{ owner: new Owner(), nowMs: () => 0 },
  ...{ life: { era: () => 0 }, withdrawals: { run: () => undefined } },
};

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
  return new Claiming({ conversation, partitions: [partitionOf('c:', 0, 1)], ...surroundings });
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

/** Partitions that answer when the test says so. */
function claimingOfMany() {
  const partitions = [partitionOf('c:', 0, 3), partitionOf('c:', 1, 3), partitionOf('c:', 2, 3)];
  const silent = new Set<number>();
  const asked: string[] = [];
  const late: (() => void)[] = [];
  const told: Error[] = [];
  const conversation: Asking = {
    async ask({ partition, script }) {
      asked.push(`${script} ${partition.number}`);
      if (silent.has(partition.number)) await new Promise<void>(resolve => late.push(resolve));
      const reply = script === 'peek' ? [0, '1', Buffer.from('t')] : answerOf(`owner.${partition.number}-1.1`, 1);
      return { reply: reply as readonly (number | Buffer)[], doubtful: false };
    },
    command: () => Promise.reject(new Error('nothing asks for that')),
    close: () => undefined,
  };
  // What is not there after a turn of the event loop is late.
  const inTime = async (work: readonly Promise<unknown>[]): Promise<boolean> => {
    const turn = new Promise(resolve => setImmediate(() => resolve('late')));
    return (await Promise.race([Promise.all(work), turn])) !== 'late';
  };
  const onAbsent = (_: string, fault: Error) => void told.push(fault);
  const claiming = new Claiming({ conversation, partitions, ...surroundings, inTime, onAbsent });
  const answerLate = async (): Promise<void> => {
    for (const answer of late.splice(0)) answer();
    await new Promise(resolve => setImmediate(resolve));
  };
  return { claiming, silent, asked, answerLate, told };
}

test('a claim goes on without a partition that is silent, asks it nothing more, and brings what it leased with the next', async () => {
  const { claiming, silent, asked, answerLate, told } = claimingOfMany();
  const tokensOf = async (): Promise<string[]> =>
    (await claiming.claim({ ...request, limit: 3 })).map(({ token }) => token);
  silent.add(1);
  assert.deepEqual(await tokensOf(), ['owner.0-1.1', 'owner.2-1.1']);
  assert.deepEqual(asked, ['peek 0', 'peek 1', 'peek 2', 'claim 0', 'claim 2']);
  assert.equal(told.length, 1);
  asked.length = 0;
  assert.deepEqual(await tokensOf(), ['owner.0-1.1', 'owner.2-1.1']);
  assert.ok(!asked.some(each => each.endsWith('1')), asked.join());
  // It said that it has something; what it leases then comes late, too.
  await answerLate();
  assert.deepEqual(await tokensOf(), ['owner.0-1.1', 'owner.2-1.1']);
  await answerLate();
  assert.deepEqual(await tokensOf(), ['owner.1-1.1', 'owner.0-1.1', 'owner.2-1.1']);
});

test('a claim that finds nothing but silence fails', async () => {
  const { claiming, silent } = claimingOfMany();
  for (const number of [0, 1, 2]) silent.add(number);
  await assert.rejects(claiming.claim(request), { code: 'POSTROAD_QUEUE_UNAVAILABLE' });
});
