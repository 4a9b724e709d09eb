/** The program itself, with a real relay. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { freePorts, projectRoot, relayYaml, writeManifests } from './folders.ts';

const program = join(projectRoot, 'operator', 'standalone.ts');

interface Standalone extends AsyncDisposable {
  readonly child: ChildProcess;
  output(): string;
  /** Of the end of the process. */
  exitCode(): Promise<number | null>;
}

function startStandalone(args: readonly string[]): Standalone {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', chunk => {
      output += chunk;
    });
  const closed = once(child, 'close');
  return {
    child,
    output: () => output,
    exitCode: async () => (await closed)[0],
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill('SIGTERM');
      await closed;
    },
  };
}

async function served(standalone: Standalone): Promise<void> {
  await waitUntil('it serves', () => standalone.output().includes('Postroad serves'), { limitMs: 30_000 });
}

async function greetingOf(socket: ReturnType<typeof connect>): Promise<string> {
  try {
    const [chunk] = await once(socket, 'data');
    return String(chunk);
  } finally {
    socket.destroy();
  }
}

describe('npm start', () => {
  it('serves a folder with a real relay, takes up a change, lets nobody else in, and ends with 0', {
    timeout: 60_000,
  }, async () => {
    await using manifests = await temporaryFolder();
    await using data = await temporaryFolder();
    const [smtp = 0, smtps = 0, later = 0] = await freePorts(3);
    const listeners = (port: number): string =>
      relayYaml().replace(
        '[{ name: smtp, port: 25, authentication: None }]',
        `[{ name: smtp, port: 25, bindPort: ${port} }, { name: submissions, port: 465, bindPort: ${smtps}, protocol: SMTPS }]`,
      );
    await writeManifests(manifests.path, { 'relay.yaml': listeners(smtp) });
    const args = ['--manifests', manifests.path, '--data-dir', data.path, '--http', '127.0.0.1:0'];
    await using standalone = startStandalone(args);
    await served(standalone);
    assert.match(await greetingOf(connect(smtp, '127.0.0.1')), /^220 mail\.example\.com /);
    const ca = await readFile(join(data.path, 'ca.crt'), 'utf8');
    assert.match(
      await greetingOf(connectTls({ host: '127.0.0.1', port: smtps, ca, servername: 'mail.example.com' })),
      /^220 /,
    );

    await using second = startStandalone(args);
    assert.equal(await second.exitCode(), 1);
    assert.match(second.output(), /is in use by another standalone/);

    await writeManifests(manifests.path, { 'relay.yaml': `${listeners(smtp)}  limits: { maxRecipients: ${later} }\n` });
    const revision = await waitUntil('the relay runs the change', async () => {
      const { status } = JSON.parse(await readFile(join(data.path, 'status', 'mailrelay.mail.outbound.json'), 'utf8'));
      const config = JSON.parse(await readFile(join(data.path, 'config', 'relay.json'), 'utf8'));
      return config.limits.maxRecipients === later && status.appliedRevision === config.revision && config.revision;
    });
    assert.match(standalone.output(), new RegExp(`"revision":"${revision}"`));

    standalone.child.kill('SIGTERM');
    assert.equal(await standalone.exitCode(), 0);
  });

  it('says what is wrong with its options or its manifests, and ends', async () => {
    await using folder = await temporaryFolder();
    await writeManifests(folder.path, { 'relay.yaml': relayYaml('  replicas: many\n  queues: {}') });
    const data = join(folder.path, 'data');
    await using help = startStandalone(['--help']);
    assert.equal(await help.exitCode(), 0);
    assert.match(help.output(), /^usage: .*--bind ADDRESS/);
    await using options = startStandalone(['--http', 'nowhere']);
    await using manifests = startStandalone(['--manifests', folder.path, '--data-dir', data]);
    assert.equal(await options.exitCode(), 2);
    assert.match(options.output(), /--http must be an IP address and a port[\s\S]*usage:/);
    assert.equal(await manifests.exitCode(), 1);
    assert.match(manifests.output(), /relay\.yaml: MailRelay mail\/outbound: spec\.queues .*did you mean queue\?/);
    assert.match(manifests.output(), /spec\.replicas must be an integer/);
    assert.doesNotMatch(manifests.output(), /at .*\.ts:\d+/, 'no stack');
  });

  it('ends with 1 when the relay is killed', { timeout: 60_000 }, async () => {
    await using manifests = await temporaryFolder();
    await using data = await temporaryFolder();
    const [smtp = 0] = await freePorts(1);
    await writeManifests(manifests.path, {
      'relay.yaml': relayYaml().replace('port: 25', `port: 25, bindPort: ${smtp}`),
    });
    await using standalone = startStandalone([
      '--manifests',
      manifests.path,
      '--data-dir',
      data.path,
      '--http',
      '127.0.0.1:0',
    ]);
    await served(standalone);
    const children = await readFile(`/proc/${standalone.child.pid}/task/${standalone.child.pid}/children`, 'utf8');
    process.kill(Number(children.trim().split(' ')[0]), 'SIGKILL');
    assert.equal(await standalone.exitCode(), 1);
    assert.match(standalone.output(), /the relay was ended by SIGKILL, unasked/);
  });
});
