/**
 * The story: a pod that was to go said that its queue is empty, took one more message before its ports were closed, and its volume was deleted
 * with it. What counts is what the relay says when nothing more can come.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { type OwnedProcess, startProcess } from '../support/processes.ts';
import { relayConfig } from '../support/relay-process.ts';
import { Dialogue } from '../support/smtp-dialogue.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const main = new URL('../../relay/main.ts', import.meta.url).pathname;
const message = 'From: <a@example.com>\r\nSubject: late\r\n\r\nhi\r\n.\r\n';

interface Running {
  readonly process: OwnedProcess;
  readonly port: number;
  metrics(): Promise<string>;
}

async function started(folder: string, smartHostPort: number, termination: string): Promise<Running> {
  const smartHost = { host: '127.0.0.1', port: smartHostPort, tls: 'Disabled' as const };
  const config = relayConfig({ route: { type: 'SmartHost', smartHost } });
  await writeFile(join(folder, 'relay.json'), JSON.stringify(config));
  const lines: string[] = [];
  const args = ['--config', join(folder, 'relay.json'), '--data-dir', join(folder, 'data')];
  const process_ = startProcess(process.execPath, [main, ...args, `--termination-log=${termination}`], {
    onLine: line => lines.push(line),
  });
  const ready = await waitUntil('the relay is ready', () => lines.find(line => line.includes('"msg":"ready"')), {
    limitMs: 30_000,
  });
  const { listeners, http } = JSON.parse(ready) as { listeners: { port: number }[]; http: { port: number } };
  return {
    process: process_,
    port: listeners[0]?.port ?? 0,
    metrics: async () => await (await fetch(`http://127.0.0.1:${http.port}/metrics`)).text(),
  };
}

test('the last word of a relay counts what it took after it was told to stop; one that is killed has none', async () => {
  await using folder = await temporaryFolder();
  const nobody = await freePort();
  const file = (name: string): string => join(folder.path, name);
  for (const name of ['one', 'two', 'three']) await writeFile(file(name), '');

  const empty = await started(folder.path, nobody, file('one'));
  assert.equal((await empty.process.stop('SIGTERM', 30_000)).code, 0);
  assert.equal(await readFile(file('one'), 'utf8'), '{"queue":"Empty"}');

  const late = await started(folder.path, nobody, file('two'));
  using client = await Dialogue.open(late.port);
  using idle = await Dialogue.open(late.port);
  await client.begin();
  assert.match(await late.metrics(), /^postroad_queue_recipients\{state="Waiting"\} 0$/m);
  const stopped = late.process.stop('SIGTERM', 30_000);
  assert.match(await idle.untilClosed(), /^421 /, 'it stops');
  client.send(message);
  assert.match(await client.untilClosed(), /^250 /);
  assert.equal((await stopped).code, 0);
  assert.equal(await readFile(file('two'), 'utf8'), '{"queue":"Holds","recipients":1}');

  const killed = await started(folder.path, nobody, file('three'));
  await killed.process.stop('SIGKILL');
  assert.equal(await readFile(file('three'), 'utf8'), '');

  const alone = await started(folder.path, nobody, file('nobody-made-it'));
  assert.equal((await alone.process.stop('SIGTERM', 30_000)).code, 0);
  await assert.rejects(readFile(file('nobody-made-it')), { code: 'ENOENT' });
});
