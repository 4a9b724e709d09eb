import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailRelays } from '../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import { mailRelay } from '../crds/objects.ts';
import { isWrite } from '../support/apiserver-audit.ts';
import { type OperatorProcess, startOperatorProcess } from '../support/operator-process.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, startWorld } from './api-world.ts';
import { installOwnCrds } from './install-crds.ts';

let world: ApiWorld;

before(async () => {
  world = await startWorld();
  await installOwnCrds(world);
  // So many that, whenever it stands still, some are just waiting for their time.
  for (let i = 0; i < 20; i++) await world.create(mailRelays, mailRelay({}, { name: `relay-${i}` }) as KubeObject);
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

function start(name: string): Promise<OperatorProcess> {
  return startOperatorProcess({
    kubeconfigFile: world.server.kubeconfigFile,
    flags: [...['--lease-duration-seconds', '6', '--renew-deadline-seconds', '4'], ...['--retry-seconds', '1']],
    name,
    program: 'test/support/writing-operator.ts',
  });
}

/** Who wrote, in order: each run of writes by one is one entry. Attempts to get the lease are no writes of a leader. */
async function writers(): Promise<string[]> {
  const writes = (await world.server.auditLog())
    .filter(request => isWrite(request) && request.resource !== 'leases')
    .map(({ userAgent }) => /^postroad-operator\/(.+)$/.exec(userAgent)?.[1])
    .filter(name => name !== undefined);
  return writes.filter((name, index) => name !== writes[index - 1]);
}

async function lossesOf(operator: OperatorProcess): Promise<number> {
  return (await operator.metric('postroad_operator_lease_losses_total')) ?? 0;
}

async function writesOf(operator: OperatorProcess): Promise<number> {
  return (await operator.metric('postroad_operator_writes_total{kind="ConfigMap",result="Created"}')) ?? 0;
}

async function untilItWrites(operator: OperatorProcess): Promise<void> {
  const before = await writesOf(operator);
  await waitUntil('more writes', async () => (await writesOf(operator)) > before + 5, { limitMs: 30_000 });
}

test('a leader that stood still for longer than its lease finds another at work, and writes no more until it leads again', async t => {
  await using one = await start('one');
  await untilItWrites(one);
  await using two = await start('two');
  await two.whenReady();
  const losses = await lossesOf(one);
  one.signal('SIGSTOP');
  const stopMs = performance.now();
  await untilItWrites(two);
  t.diagnostic(`another at work ${((performance.now() - stopMs) / 1000).toFixed(1)} s after the leader stood still`);
  one.signal('SIGCONT');
  await waitUntil('one to see it', async () => (await lossesOf(one)) > losses);
  await untilItWrites(two);
  assert.equal(await one.metric('postroad_operator_leader'), 0);
  assert.deepEqual(await writers(), ['one', 'two']);
  await two.stop();
  await untilItWrites(one);
  assert.deepEqual(await writers(), ['one', 'two', 'one']);
});
