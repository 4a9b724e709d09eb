import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCountingSink } from '../support/counting-sink.ts';
import { startPostfix } from '../support/postfix.ts';
import { programsMissing } from '../support/programs.ts';
import { drained, metric, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createTestCa } from '../support/test-ca.ts';
import { waitUntil } from '../support/wait-until.ts';
import { assertUntouched, type SampleNote, sendSamples } from './send-samples.ts';

const seed = 20_261_123;
const messages = 1000;
const user = { name: 'demo', password: 'correct horse' };
const arrivalLimitMs = 120_000;
const isRoot = process.getuid?.() === 0;
const skip = programsMissing('postfix', 'saslpasswd2', 'openssl') || (isRoot ? false : 'Postfix starts as root only');

function megabytes(notes: ReadonlyMap<string, SampleNote>): string {
  const bytes = [...notes.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}

async function folderIn(parent: string, name: string): Promise<string> {
  const path = join(parent, name);
  await mkdir(path);
  return path;
}

/** As Kubernetes mounts a Secret. */
async function secretFolder(parent: string, name: string, entries: Readonly<Record<string, string>>): Promise<string> {
  const path = await folderIn(parent, name);
  for (const [key, value] of Object.entries(entries)) await writeFile(join(path, key), value);
  return path;
}

test('a real Postfix sends 1,000 messages through the relay by STARTTLS and AUTH, and each arrives byte for byte', {
  skip,
}, async t => {
  await using folder = await temporaryFolder();
  const ca = await createTestCa(join(folder.path, 'ca'));
  const tls = await ca.issue('relay.test');
  await using sink = await startCountingSink({ hashBodies: true });
  const config = relayConfig({
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: sink.port, tls: 'Disabled' } },
    tls,
    clients: { usersDir: await secretFolder(folder.path, 'users', { [user.name]: user.password }) },
    limits: { maxMessageSizeBytes: 40 * 1024 * 1024 },
  });
  const listeners = config.listeners.map(listener => ({
    ...listener,
    tls: 'Required' as const,
    authentication: 'Required' as const,
  }));
  await using relay = await startRelayProcess({ ...config, listeners });
  const peer = {
    role: 'send',
    user,
    caFile: ca.certificateFile,
    relayName: 'relay.test',
    relayPort: relay.port(),
  } as const;
  await using postfix = await startPostfix(await folderIn(folder.path, 'postfix'), peer);
  const begun = performance.now();
  const notes = await sendSamples(postfix.port, seed, messages);
  await waitUntil('every message at the next hop', async () => (await sink.received()) >= messages, {
    limitMs: arrivalLimitMs,
    everyMs: 200,
  });
  t.diagnostic(
    `Postfix sent ${messages} messages, ${megabytes(notes)}, through the relay in ${((performance.now() - begun) / 1000).toFixed(1)} s`,
  );
  const { receptions, bodies } = await sink.record();
  assert.deepEqual(receptions.map(({ recipient }) => recipient).sort(), [...notes.keys()].sort());
  for (const [recipient, note] of notes) {
    const body = bodies.get(recipient);
    assert.ok(body, recipient);
    assertUntouched(note, { header: body.header, bodySha256: body.sha256 });
  }
  const metrics = await drained(relay);
  assert.equal(metric(metrics, 'postroad_queue_delivered_recipients_total'), messages);
});

/** A file of a Maildir has line feeds; what Postfix puts above the header it received is its own. */
function readKept(bytes: Buffer): { header: string; bodySha256: string; recipient: string } {
  const end = bytes.indexOf('\n\n');
  const header = bytes.toString('latin1', 0, end + 1).replaceAll('\n', '\r\n');
  const body = Buffer.from(bytes.toString('latin1', end + 2).replaceAll('\n', '\r\n'), 'latin1');
  const recipient = /^Delivered-To: (.*)\r$/m.exec(header)?.[1] ?? '';
  return { header, bodySha256: createHash('sha256').update(body).digest('hex'), recipient };
}

test('a real Postfix takes 1,000 messages from the relay by verified STARTTLS and AUTH, and keeps each byte for byte', {
  skip,
}, async t => {
  await using folder = await temporaryFolder();
  const ca = await createTestCa(join(folder.path, 'ca'));
  const tls = await ca.issue('postfix.test');
  await using postfix = await startPostfix(await folderIn(folder.path, 'postfix'), { role: 'receive', user, ...tls });
  const smartHost = {
    host: '127.0.0.1',
    port: postfix.port,
    tls: 'Verified' as const,
    caFile: ca.certificateFile,
    credentialsDir: await secretFolder(folder.path, 'credentials', { username: user.name, password: user.password }),
  };
  await using relay = await startRelayProcess(
    relayConfig({ route: { type: 'SmartHost', smartHost }, limits: { maxMessageSizeBytes: 40 * 1024 * 1024 } }),
  );
  const begun = performance.now();
  const notes = await sendSamples(relay.port(), seed + 1, messages);
  await waitUntil('every message in the mailbox', async () => (await postfix.delivered()).length >= messages, {
    limitMs: arrivalLimitMs,
    everyMs: 200,
  });
  t.diagnostic(
    `Postfix received ${messages} messages, ${megabytes(notes)}, from the relay in ${((performance.now() - begun) / 1000).toFixed(1)} s`,
  );
  const recipients: string[] = [];
  for (const file of await postfix.delivered()) {
    const kept = readKept(await readFile(file));
    const note = notes.get(kept.recipient);
    assert.ok(note, `nobody sent to ${kept.recipient}`);
    assertUntouched(note, kept);
    recipients.push(kept.recipient);
  }
  assert.deepEqual(recipients.sort(), [...notes.keys()].sort());
  const metrics = await drained(relay);
  assert.equal(metric(metrics, 'postroad_queue_delivered_recipients_total'), messages);
  assert.ok(metric(metrics, 'postroad_deliver_connections_total{tls="TLSv1.3"}') > 0);
});
