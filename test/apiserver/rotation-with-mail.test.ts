import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { listAll } from '../../operator/kube/list.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { isWrite } from '../support/apiserver-audit.ts';
import { dkimpyMissing, verifyWithDkimpy, verifyWithMailauth } from '../support/dkim-verifiers.ts';
import { waitUntil } from '../support/wait-until.ts';
import { never } from './api-world.ts';
import { published } from './published-records.ts';
import { neighbourName, numberOf, type RotationWorld, type Sent, startRotationWorld } from './rotation-world.ts';

const dayMs = 86_400_000;
/**
 * From a lie to the end of its look: the time between two looks with its jitter, and the test's own steps. A key that began to sign within the hour is
 * looked at every 15 s, others that sign every minute.
 */
const noticeMs = { New: 25_000, Old: 90_000 } as const;
/** From there to every pod's having it. */
const takeUpMs = 15_000;
const algorithms = ['Ed25519', 'RSA2048'];

let world: RotationWorld;

before(async () => {
  world = await startRotationWorld({
    type: 'Managed',
    managed: { algorithms, rotationPeriodDays: 90, overlapDays: 7 },
  });
});
after(async () => {
  console.log(timeline.join('\n'));
  await world[Symbol.asyncDispose]();
});

const timeline: string[] = [];
let startedMs = 0;

function note(what: string): void {
  const [day, seconds] = [Math.floor((world.clock.now() - startedMs) / dayMs), (world.clock.now() - startedMs) % dayMs];
  timeline.push(
    `day ${String(day).padStart(3)} + ${(seconds / 1000).toFixed(1).padStart(7)} s, ${world.sent.length} sent: ${what}`,
  );
}

/** Of each algorithm, in the order of their making: `Retiring Active`. */
async function states(): Promise<string[]> {
  const { dkim } = (await world.policy()).status ?? {};
  return algorithms.map(algorithm =>
    (dkim?.keys ?? [])
      .filter(key => key.algorithm === algorithm)
      .sort((one, other) => ((one.createdTime ?? '') < (other.createdTime ?? '') ? -1 : 1))
      .map(({ state }) => state)
      .join(' '),
  );
}

async function selectorsIn(state: string): Promise<string[]> {
  const { dkim } = (await world.policy()).status ?? {};
  return (dkim?.keys ?? []).filter(key => key.state === state).map(({ selector }) => selector);
}

/** Moves time on in steps until the keys of both algorithms are so. */
async function whenKeys(wanted: string, stepMs = 5000): Promise<void> {
  let last: string[] = [];
  const isSo = async (): Promise<boolean> => {
    last = await states();
    if (last.every(one => one === wanted)) return true;
    world.clock.jump(stepMs);
    return false;
  };
  await waitUntil(`keys to be ${wanted}`, isSo, { limitMs: 40_000, everyMs: 200 }).catch((error: unknown) => {
    throw new Error(`keys are ${last.join(', ')}\n${timeline.join('\n')}`, { cause: error });
  });
  note(`keys are ${wanted}`);
}

/** Moves time on until DNSPublished says so. */
async function untilSaid(words: string): Promise<void> {
  const isSaid = async (): Promise<boolean> => {
    const { conditions = [] } = (await world.policy()).status ?? {};
    if (conditions.some(({ type, message }) => type === 'DNSPublished' && message.includes(words))) return true;
    world.clock.jump(5000);
    return false;
  };
  await waitUntil(`DNSPublished to say "${words}"`, isSaid, { limitMs: 30_000, everyMs: 200 });
  note(`the status says "${words}"`);
}

async function records(): Promise<string[]> {
  return published((await world.policy()).status?.dnsRecords ?? []);
}

function signedWith({ number }: Sent): string[] {
  const found = world.sink.messages.find(({ content }) => numberOf(content) === number);
  if (found === undefined) throw new Error(`message ${number} did not arrive`);
  return selectorsOf(found.content);
}

function selectorsOf(content: Buffer): string[] {
  const head = content
    .subarray(0, content.indexOf('\r\n\r\n'))
    .toString('latin1')
    .replaceAll(/\r\n[ \t]/g, ' ');
  return [...head.matchAll(/^DKIM-Signature:.*?\bs=([^;\s]+)/gim)].map(([, selector]) => selector ?? '');
}

/** The latest that each pod has sent and that has arrived is signed with these alone. */
async function whenSignedWith(wanted: readonly string[]): Promise<void> {
  const pods = world.node.pods().map(({ key }) => key);
  const from = world.sent.length;
  let last = '';
  await waitUntil(
    `mail signed with ${wanted.join(' and ') || 'nothing'}`,
    () =>
      pods.every(pod => {
        const arrived = new Map(world.sink.messages.map(({ content }) => [numberOf(content), content]));
        const content = arrived.get(
          world.sent.findLast(one => one.pod === pod && arrived.has(one.number))?.number ?? -1,
        );
        last = content === undefined ? '' : selectorsOf(content).sort().join(' ');
        return content !== undefined && numberOf(content) >= from && last === [...wanted].sort().join(' ');
      }),
    { limitMs: takeUpMs, everyMs: 50 },
  ).catch((error: unknown) => {
    throw new Error(`the last is signed with ${last}\n${timeline.join('\n')}`, { cause: error });
  });
  note(`every pod signs with ${wanted.join(' and ') || 'nothing'}`);
}

interface Lie {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The zone of before is back at one server: how long keys go on signing whose record is gone. */
async function lie(
  lines: readonly string[],
  at: 'One' | 'Both',
  { age, wanted }: { readonly age: keyof typeof noticeMs; readonly wanted: string },
): Promise<Lie> {
  const lost = await selectorsIn('Active');
  const fromMs = world.clock.now();
  await world.zone.serve(lines, at);
  note(`the zone of before is back at ${at.toLowerCase()}, without ${lost.join(' and ')}`);
  // In steps that do not hide how long it takes.
  await whenKeys(wanted, age === 'New' ? 1000 : 5000);
  const noticedMs = world.clock.now() - fromMs;
  const fallBack = await selectorsIn('Active');
  await whenSignedWith(fallBack);
  const untilMs = world.clock.now();
  note(`noticed after ${noticedMs / 1000} s, out of use after ${(untilMs - fromMs) / 1000} s`);
  assert.ok(noticedMs < noticeMs[age], `noticed after ${noticedMs} ms`);
  return { fromMs, untilMs };
}

test('at no instant is a message signed by a key whose record is not visible, and none is refused or lost', async () => {
  await waitUntil(
    'two pods to be ready',
    async () => (await world.policy()).status !== undefined && (await podsReady()),
    {
      limitMs: 40_000,
    },
  );
  startedMs = world.clock.now();
  world.beginToSend();
  note('mail begins to flow');
  await whenKeys('Pending');
  await whenSignedWith([]);
  const first = await records();
  await world.zone.serve(first, 'One');
  note('one of two servers has the first records');
  await untilSaid('says ns2.shop.example');
  await whenSignedWith([]);
  await world.zone.serve(first);
  note('both have');
  await whenKeys('Active');
  const old = await selectorsIn('Active');
  await whenSignedWith(old);

  world.clock.jump(83 * dayMs + 60_000);
  await whenKeys('Active Pending');
  const both = await records();
  await world.zone.serve(both, 'One');
  note('one of two servers has the records of the successors');
  // The day comes, and their records are not everywhere.
  world.clock.jump(7 * dayMs);
  await untilSaid('says ns2.shop.example');
  await whenSignedWith(old);
  await world.zone.serve(both);
  note('both have');
  await whenKeys('Retiring Active');
  const next = await selectorsIn('Active');
  await whenSignedWith(next);
  assert.equal(new Set([...old, ...next]).size, 4);

  const seen = (await world.api.server.auditLog()).length;
  const lies = [await lie(first, 'One', { age: 'New', wanted: 'Active Pending' })];
  assert.deepEqual([...(await selectorsIn('Active'))].sort(), [...old].sort());
  await waitUntil('the Event', async () => (await warnings()).includes('KeyRecordLost'));
  await world.zone.serve(both);
  note('the records are back');
  await whenKeys('Retiring Active');
  await whenSignedWith(next);

  world.zone.pause();
  note('both servers are dead');
  await untilSaid('gives no answer');
  await whenSignedWith(next);
  world.zone.resume();
  note('both answer again');

  world.clock.jump(6 * dayMs);
  await whenSignedWith(next);
  assert.equal(
    (await records()).filter(line => line.includes('_domainkey')).length,
    4,
    'a message may still be on its way',
  );
  world.clock.jump(dayMs);
  await whenKeys('Active');
  const last = await records();
  await world.zone.serve(last);
  note('the records of the old keys are gone');
  await whenSignedWith(next);

  lies.push(await lie(first, 'Both', { age: 'Old', wanted: 'Pending' }));
  await world.zone.serve(last);
  note('the records are back');
  await whenKeys('Active');
  await whenSignedWith(next);
  await world.stopSending();
  await waitUntil('what is queued to arrive', () => world.sink.messages.length >= world.sent.length);
  timeline.push(await checkMail(lies));
  // What happens to one policy's keys is no news for another of the same relay.
  const writes = (await world.api.server.auditLog())
    .slice(seen)
    .filter(request => isWrite(request) && request.resource.startsWith('domainpolicies'));
  assert.ok(writes.some(({ name }) => name === 'shop'));
  assert.deepEqual(
    writes.filter(({ name }) => name === neighbourName.name),
    [],
  );
});

const events: Resource = { apiVersion: 'v1', kind: 'Event', plural: 'events', isNamespaced: true };

/** Reasons of what the policy's user is warned of. */
async function warnings(): Promise<string[]> {
  const found = await listAll<KubeObject & { readonly reason: string }>({
    ...{ client: world.api.client, resource: events, namespace: 'shop', signal: never, pageSize: 100, most: 1000 },
    ...{ labelSelector: undefined, fieldSelector: 'involvedObject.name=shop,type=Warning' },
  });
  return found.map(({ reason }) => reason);
}

async function podsReady(): Promise<boolean> {
  const answers = await Promise.all(
    world.node.pods().map(async ({ address }) => {
      try {
        return (await fetch(`http://${address}:8080/readyz`, { headers: { connection: 'close' } })).ok;
      } catch {
        return false;
      }
    }),
  );
  return answers.length === 2 && answers.every(Boolean);
}

/** Returns what it has counted. */
async function checkMail(lies: readonly Lie[]): Promise<string> {
  const { sent, sink, zone } = world;
  assert.deepEqual([...new Set(sent.map(({ outcome }) => outcome))], ['accepted']);
  const numbers = sink.messages.map(({ content }) => numberOf(content)).sort((one, other) => one - other);
  assert.deepEqual(
    numbers,
    sent.map(({ number }) => number),
    'each arrived, and once',
  );
  const isInLie = ({ fromMs, toMs }: Sent): boolean => lies.some(one => toMs >= one.fromMs && fromMs <= one.untilMs);
  const wrong = sent.flatMap(one =>
    signedWith(one)
      .filter(selector => !zone.isVisible(selector, one.fromMs, one.toMs))
      .map(selector => ({ ...one, selector, isInLie: isInLie(one) })),
  );
  assert.deepEqual(
    wrong.filter(one => !one.isInLie),
    [],
  );
  const signed = sink.messages.map(({ content }) => content).filter(content => selectorsOf(content).length > 0);
  const holds = await Promise.all(signed.map(content => verifyWithMailauth(content, zone.records)));
  const good = signed.map(content => Object.fromEntries(selectorsOf(content).map(selector => [selector, true])));
  assert.deepEqual(holds, good);
  if ((await dkimpyMissing()) === false) assert.deepEqual(await verifyWithDkimpy(signed, zone.records), good);
  const signatures = signed.flatMap(selectorsOf).length;
  const unsigned = sink.messages.length - signed.length;
  return `${sent.length} sent, ${numbers.length} arrived, ${unsigned} unsigned, ${signatures} signatures hold; ${wrong.length} made while a lie was not yet seen, none else by a key that was not visible`;
}
