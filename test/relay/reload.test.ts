import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RelayConfigInput } from '../../relay/config.ts';
import { createLog } from '../../relay/log.ts';
import { createMetrics, type Metrics } from '../../relay/metrics.ts';
import { createReloader, type Reloader } from '../../relay/reload.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

function configuration(revision: string, usersDir: string): RelayConfigInput {
  return {
    revision,
    namespace: 'mail',
    name: 'outbound',
    hostname: 'mail.example.com',
    listeners: [{ name: 'smtp', port: 25, bindPort: 0, protocol: 'SMTP', tls: 'Disabled', authentication: 'None' }],
    http: { bindPort: 0 },
    clients: { usersDir },
    route: { type: 'Capture' },
  };
}

interface Fixture extends AsyncDisposable {
  readonly folder: string;
  readonly reloader: Reloader;
  readonly metrics: Metrics;
  readonly changes: string[];
  write(text: string): Promise<void>;
}

async function fixture(): Promise<Fixture> {
  const folder = await temporaryFolder();
  const configFile = join(folder.path, 'relay.json');
  const write = async (text: string): Promise<void> => {
    await writeFile(`${configFile}.new`, text);
    await rename(`${configFile}.new`, configFile);
  };
  await writeFile(join(folder.path, 'demo'), 'first\n');
  await write(JSON.stringify(configuration('1', folder.path)));
  const metrics = createMetrics();
  const changes: string[] = [];
  const onChange = (): void => void changes.push(reloader.state().config.revision);
  const reloader = await createReloader({ configFile, log: createLog('silent'), metrics, onChange });
  const dispose = async (): Promise<void> => {
    reloader.close();
    await folder[Symbol.asyncDispose]();
  };
  return { folder: folder.path, reloader, metrics, changes, write, [Symbol.asyncDispose]: dispose };
}

async function reloads(metrics: Metrics, result: string): Promise<number> {
  const { values } = await metrics.postroad_config_reloads_total.get();
  return values.find(value => value.labels.result === result)?.value ?? 0;
}

test('a changed configuration is applied without being asked', async () => {
  await using relay = await fixture();
  await relay.write(JSON.stringify(configuration('2', relay.folder)));
  await waitUntil('revision 2 runs', () => relay.reloader.state().config.revision === '2');
  assert.deepEqual(relay.changes, ['2']);
});

test('a wrong configuration changes nothing, is counted, and the next right one is applied', async () => {
  await using relay = await fixture();
  const before = relay.reloader.state();
  await relay.write('{"revision": ');
  await waitUntil('the rejection is counted', async () => (await reloads(relay.metrics, 'Rejected')) > 0);
  assert.equal(relay.reloader.state(), before);
  await relay.write(JSON.stringify(configuration('3', relay.folder)));
  await waitUntil('revision 3 runs', () => relay.reloader.state().config.revision === '3');
});

test('a changed password is taken up, and its final newline is not part of it', async () => {
  await using relay = await fixture();
  assert.equal(relay.reloader.state().secrets.users.get('demo'), 'first');
  await writeFile(join(relay.folder, 'demo'), 'second\n');
  await waitUntil('the password is read', () => relay.reloader.state().secrets.users.get('demo') === 'second');
});

test('reading again what has not changed is no change', async () => {
  await using relay = await fixture();
  await relay.reloader.reload();
  assert.deepEqual(relay.changes, []);
  assert.equal(await reloads(relay.metrics, 'Applied'), 0);
});

test('a DKIM key that is another is taken up, and the same key in other words is not', async () => {
  await using relay = await fixture();
  const [first, second] = [1, 2].map(() => generateKeyPairSync('ed25519').privateKey);
  assert.ok(first !== undefined && second !== undefined);
  const privateKeyFile = join(relay.folder, '.key');
  const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeFile(privateKeyFile, pem(first));
  const policy = {
    namespace: 'mail',
    name: 'example',
    domains: ['example.com'],
    senders: { namespaces: ['mail'] },
    dkim: [{ selector: 's', algorithm: 'Ed25519' as const, privateKeyFile }],
  };
  await relay.write(JSON.stringify({ ...configuration('2', relay.folder), policies: [policy] }));
  await waitUntil('revision 2 runs', () => relay.reloader.state().config.revision === '2');
  const before = relay.reloader.state();

  await writeFile(privateKeyFile, `a comment\n${pem(first)}`);
  await relay.reloader.reload();
  assert.equal(relay.reloader.state(), before);

  await writeFile(privateKeyFile, pem(second));
  await waitUntil('the key is read', () => relay.reloader.state().secrets.dkimKeys.get(privateKeyFile)?.equals(second));
  assert.deepEqual(relay.changes, ['2', '2']);
});
