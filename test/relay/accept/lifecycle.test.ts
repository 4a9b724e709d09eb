/** Reload, stop, and our own faults. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { QueueFullError } from '../../../relay/queue/queue.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { header, RecordingSpool, refusals, startAccept } from './accept-fixture.ts';

const message = `${header}\r\nhi\r\n.\r\n`;

test('stop tells idle sessions to go and lets a transaction finish', async () => {
  await using accept = await startAccept();
  using idle = await Dialogue.open(accept.port());
  using busy = await Dialogue.open(accept.port());
  await busy.begin();
  const port = accept.port();
  const stopped = accept.server.stop(10_000);
  assert.match(await idle.untilClosed(), /^421 4\.3\.2 /);
  busy.send(message);
  assert.match(await busy.untilClosed(), /^250 2\.0\.0 queued[^\r]*\r\n421 4\.3\.2 [^\r]*\r\n$/);
  await stopped;
  assert.equal(accept.messages.length, 1);
  const [error] = (await once(connectTcp({ port, host: '127.0.0.1' }), 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});

test('stop ends what does not finish within the grace period', async () => {
  await using accept = await startAccept({ listeners: [{}, { name: 'smtps', protocol: 'SMTPS' }] });
  using busy = await Dialogue.open(accept.port());
  await busy.begin();
  using handshaking = await Dialogue.connect(accept.port('smtps'));
  using upgrading = await Dialogue.open(accept.port());
  await upgrading.say('STARTTLS');
  const from = performance.now();
  await accept.server.stop(200);
  assert.ok(performance.now() - from < 3000);
  assert.match(await busy.untilClosed(), /^421 4\.3\.2 /);
  assert.equal(await handshaking.untilClosed(), '');
  assert.equal(await upgrading.untilClosed(), '');
  assert.equal(accept.spools[0]?.discarded, true);
});

test('stop waits for a message that is being stored', async () => {
  const stored = Promise.withResolvers<void>();
  await using accept = await startAccept({ submit: () => stored.promise });
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(message);
  await waitUntil('the message is with the queue', () => accept.spools[0]?.finished);
  const stopped = accept.server.stop(10_000);
  stored.resolve();
  assert.match(await client.untilClosed(), /^250 2\.0\.0 queued[^\r]*\r\n421 /);
  await stopped;
});

test('a reload opens new listeners, closes removed ones and keeps the others with their sessions', async () => {
  await using accept = await startAccept({ listeners: [{}, { name: 'removed' }] });
  using kept = await Dialogue.open(accept.port());
  using leaving = await Dialogue.open(accept.port('removed'));
  using finishing = await Dialogue.open(accept.port('removed'));
  await finishing.begin();
  // A port that is free: the one of the listener that goes away.
  const port = accept.port('removed');
  accept.reload({ listeners: [{}, { name: 'added', bindPort: port, tls: 'Disabled' }] });
  assert.match(await leaving.untilClosed(), /^421 4\.3\.2 /);
  finishing.send(message);
  assert.match(await finishing.untilClosed(), /^250 2\.0\.0 queued[^\r]*\r\n421 /);
  assert.match(await kept.say('NOOP'), /^250 /);
  using added = await waitUntil('the new listener answers', () => Dialogue.open(port).catch(() => undefined));
  assert.doesNotMatch(await added.say('EHLO x'), /STARTTLS/);
});

test('a listener that cannot be opened at a reload leaves the others as they are, and is tried again', async () => {
  await using accept = await startAccept();
  await using other = await startAccept();
  const taken = other.port();
  const listeners = [{}, { name: 'second', bindPort: taken }];
  accept.reload({ listeners });
  using client = await Dialogue.open(accept.port());
  assert.match(await client.say('NOOP'), /^250 /);
  await other.server.stop(0);
  using second = await waitUntil('it is there after another reload', () => {
    accept.reload({ listeners });
    return Dialogue.open(taken).catch(() => undefined);
  });
  assert.match(await second.say('NOOP'), /^250 /);
});

test('limits of a reload hold for sessions that are open', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  accept.reload({ limits: { maxMessageSizeBytes: 2000 } });
  assert.match(await client.say('MAIL FROM:<a@example.com> SIZE=2001'), /^552 /);
});

class FaultySpool extends RecordingSpool {
  readonly #fault: Error;
  readonly #where: 'write' | 'later' | 'finish';

  constructor(fault: Error, where: 'write' | 'later' | 'finish') {
    super();
    this.#fault = fault;
    this.#where = where;
  }

  override write(chunk: Buffer): Promise<void> | undefined {
    if (this.#where === 'write') throw this.#fault;
    return this.#where === 'later' ? Promise.reject(this.#fault) : super.write(chunk);
  }

  override finish(): ReturnType<RecordingSpool['finish']> {
    return Promise.reject(this.#fault);
  }
}

test('our own faults are told 4yz, and the session goes on', async t => {
  const fault = new Error('disk on fire');
  const full = new QueueFullError('disk full');
  const cases = [
    ['submit rejects', { submit: () => Promise.reject(fault) }, /^451 4\.3\.0 /, 'QueueUnavailable'],
    ['the queue is full', { submit: () => Promise.reject(full) }, /^452 4\.3\.1 /, 'QueueFull'],
    ['writing throws', { openSpool: () => new FaultySpool(fault, 'write') }, /^451 4\.3\.0 /, 'QueueUnavailable'],
    ['writing rejects', { openSpool: () => new FaultySpool(fault, 'later') }, /^451 4\.3\.0 /, 'QueueUnavailable'],
    ['writing finds the disk full', { openSpool: () => new FaultySpool(full, 'later') }, /^452 4\.3\.1 /, 'QueueFull'],
    ['finishing rejects', { openSpool: () => new FaultySpool(fault, 'finish') }, /^451 4\.3\.0 /, 'QueueUnavailable'],
  ] as const;
  for (const [name, options, expected, reason] of cases) {
    await t.test(name, async () => {
      await using accept = await startAccept(options);
      using client = await Dialogue.open(accept.port());
      await client.begin();
      client.send(`${header}\r\n${`${'x'.repeat(98)}\r\n`.repeat(1000)}.\r\n`);
      assert.match(await client.reply(), expected);
      assert.match(await client.say('NOOP'), /^250 /);
      assert.equal(await refusals(accept.metrics, reason), 1);
      assert.equal(accept.messages.length, 0);
    });
  }
  await t.test('the key that signs is missing', async () => {
    await using accept = await startAccept({
      policies: [
        {
          namespace: 'shop',
          name: 'shop',
          domains: ['example.com'],
          senders: { namespaces: ['mail'] },
          dkim: [{ selector: 's', algorithm: 'Ed25519', privateKeyFile: 'missing' }],
        },
      ],
    });
    using client = await Dialogue.open(accept.port());
    await client.begin();
    client.send(message);
    assert.match(await client.reply(), /^451 4\.3\.0 /);
    assert.equal(accept.spools[0]?.discarded, true);
  });
  await t.test('the queue takes no message at all', async () => {
    await using accept = await startAccept({
      openSpool: () => {
        throw full;
      },
    });
    using client = await Dialogue.open(accept.port());
    await client.say('MAIL FROM:<a@example.com>');
    await client.say('RCPT TO:<b@example.net>');
    assert.match(await client.say('DATA'), /^452 4\.3\.1 /);
    assert.match(await client.say('NOOP'), /^250 /);
  });
});

test('a spool that asks to wait stops the reading', async () => {
  const gate = Promise.withResolvers<void>();
  class WaitingSpool extends RecordingSpool {
    override write(chunk: Buffer): Promise<void> {
      this.chunks.push(chunk);
      return gate.promise;
    }
  }
  const spool = new WaitingSpool();
  await using accept = await startAccept({ openSpool: () => spool });
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(`${header}\r\n`);
  const line = `${'x'.repeat(998)}\r\n`;
  client.send(line.repeat(20_000));
  client.send('.\r\n');
  await waitUntil('the spool has its first chunk', () => spool.chunks.length > 0);
  using witness = await Dialogue.open(accept.port());
  for (let count = 0; count < 20; count++) await witness.say('NOOP');
  assert.equal(spool.chunks.length, 1);
  gate.resolve();
  assert.match(await client.reply(), /^250 /);
});

test('a client that goes away within a message leaves nothing behind', async () => {
  await using accept = await startAccept();
  for (const start of ['BDAT 1000\r\nabc', `DATA\r\n${header}`]) {
    using client = await Dialogue.open(accept.port());
    await client.say('MAIL FROM:<a@example.com>');
    await client.say('RCPT TO:<b@example.net>');
    client.send(start);
    const count = accept.spools.length;
    await waitUntil(
      'the message has begun',
      () => accept.spools.length > count || accept.spools.at(-1)?.discarded === false,
    );
    client.close();
    await waitUntil('its spool is discarded', () => accept.spools.at(-1)?.discarded);
  }
  assert.equal(accept.messages.length, 0);
});

test('a client that closes its side after its last command gets every reply', async t => {
  await using accept = await startAccept({ listeners: [{}, { name: 'smtps', protocol: 'SMTPS' }] });
  const rest = `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${message}NOOP`;
  for (const [name, open] of [
    ['in plain text', () => Dialogue.open(accept.port())],
    ['over TLS', () => Dialogue.connectTls(accept.port('smtps'))],
  ] as const) {
    await t.test(name, async () => {
      using client = await open();
      if (name === 'over TLS') {
        await client.reply();
        await client.say('EHLO client.test');
      }
      client.socket.end(rest);
      // A line that is not ended is no command.
      assert.match(
        await client.untilClosed(),
        /^250 [^\r]*\r\n250 [^\r]*\r\n354 [^\r]*\r\n250 [^\r]*queued[^\r]*\r\n$/,
      );
    });
  }
});
