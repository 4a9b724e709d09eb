import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { before, test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { RelayConfigInput } from '../../relay/config.ts';
import { makeCertificate, type TestCertificate } from '../support/certificate.ts';
import { type Delivery, startDelivery } from '../support/delivery.ts';
import { answering, type Conversation, type RawPeer, startRawPeer } from '../support/raw-peer.ts';
import { waitUntil } from '../support/wait-until.ts';
import { startZone, type ZoneTable } from '../support/zone.ts';

let certificate: TestCertificate;
before(async () => {
  certificate = await makeCertificate('mx.dest.test');
});

interface Attacked extends AsyncDisposable {
  readonly delivery: Delivery;
  readonly peer: RawPeer;
}

async function attackedBy(talk: Conversation, config: Partial<RelayConfigInput> = {}): Promise<Attacked> {
  await using stack = new AsyncDisposableStack();
  const peer = stack.use(await startRawPeer(talk));
  const zone = stack.use(
    await startZone({
      'dest.test': [{ type: 'MX', data: { preference: 10, exchange: 'mx.dest.test' } }],
      'mx.dest.test': [{ type: 'A', data: '127.0.0.1' }],
    }),
  );
  const delivery = stack.use(
    await startDelivery({
      config: {
        nameservers: [zone.nameserver],
        retry: { initialDelaySeconds: 600 },
        ...config,
        delivery: { mxPort: peer.port, commandTimeoutSeconds: 1, connectTimeoutSeconds: 1 },
      },
    }),
  );
  const owned = stack.move();
  return { delivery, peer, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
}

/** Writes without end, at the reader's pace. */
function pour(socket: Socket, chunk: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}

/** One byte at a time, for ever. */
function trickle(socket: Socket, byte: string, everyMs = 20): void {
  const timer = setInterval(() => socket.write(byte), everyMs);
  socket.on('close', () => clearInterval(timer));
}

const attacks: readonly { readonly name: string; readonly talk: Conversation; readonly outcome: string }[] = [
  {
    name: 'a banner of endless bytes',
    talk: socket => pour(socket, Buffer.alloc(65_536, 'x')),
    outcome: 'Deferred ProtocolError',
  },
  {
    name: 'a greeting of endless lines',
    talk: socket => pour(socket, Buffer.from('220-hello there\r\n'.repeat(4000))),
    outcome: 'Deferred ProtocolError',
  },
  {
    name: 'endless whole replies',
    talk: socket => pour(socket, Buffer.from('220 hello there\r\n'.repeat(4000))),
    outcome: 'Deferred ProtocolError',
  },
  {
    name: 'an EHLO reply of endless lines',
    talk: socket =>
      answering(socket, line => {
        if (line.startsWith('EHLO')) pour(socket, Buffer.from('250-X-EXTENSION parameter\r\n'.repeat(4000)));
        return undefined;
      }),
    outcome: 'Deferred ProtocolError',
  },
  { name: 'a greeting that trickles in', talk: socket => trickle(socket, '2'), outcome: 'Deferred CommandTimeout' },
  {
    name: 'an EHLO reply that trickles in',
    talk: socket =>
      answering(socket, line => {
        if (line.startsWith('EHLO')) trickle(socket, '2');
        return undefined;
      }),
    outcome: 'Deferred CommandTimeout',
  },
  {
    name: 'a reply to MAIL that trickles in',
    talk: socket =>
      answering(socket, line => {
        if (line.startsWith('MAIL')) trickle(socket, '250-x\r\n', 50);
        return line.startsWith('EHLO') ? '250 mx.dest.test\r\n' : undefined;
      }),
    outcome: 'Deferred CommandTimeout',
  },
  {
    name: 'replies to what was not yet asked',
    talk: socket => socket.write('220 hi\r\n250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n'),
    outcome: 'Deferred ProtocolError',
  },
  {
    name: 'a TLS handshake that stalls',
    talk: socket =>
      answering(socket, line => {
        if (line.startsWith('EHLO')) return '250-mx\r\n250 STARTTLS\r\n';
        return line.startsWith('STARTTLS') ? '220 go\r\n' : undefined;
      }),
    outcome: 'Deferred CommandTimeout',
  },
  {
    name: 'a TLS handshake that trickles in',
    talk: socket =>
      answering(socket, line => {
        if (line.startsWith('EHLO')) return '250-mx\r\n250 STARTTLS\r\n';
        if (line.startsWith('STARTTLS')) {
          socket.write('220 go\r\n');
          socket.write(Buffer.from([0x16, 3, 3, 0x3f, 0xff]));
          trickle(socket, '\x02');
        }
        return undefined;
      }),
    outcome: 'Deferred CommandTimeout',
  },
  { name: 'silence', talk: () => undefined, outcome: 'Deferred CommandTimeout' },
  { name: 'a closed door', talk: socket => socket.end(), outcome: 'Deferred ConnectionLost' },
  {
    name: 'a reset in place of a reply to EHLO',
    talk: socket =>
      answering(socket, () => {
        socket.resetAndDestroy();
        return undefined;
      }),
    outcome: 'Deferred ConnectionLost',
  },
];

for (const { name, talk, outcome } of attacks) {
  test(`a next hop with ${name}: ${outcome}`, async () => {
    await using set = await attackedBy(talk);
    const startedMs = performance.now();
    await set.delivery.submit({ to: ['alice@dest.test'] });
    assert.deepEqual(await set.delivery.attempted(), { [outcome]: 1 });
    assert.ok(performance.now() - startedMs < 8000);
    await set.delivery.settled({ accepted: 1, delivered: 0, failed: 0, depth: 1 });
  });
}

test('what is injected between STARTTLS and the handshake is not taken for an answer', async () => {
  const secureContext = createSecureContext({
    key: certificate.privateKey.toString(),
    cert: certificate.certificate.toString(),
  });
  const heard: string[] = [];
  await using set = await attackedBy(socket =>
    answering(socket, line => {
      heard.push(line);
      if (line.startsWith('EHLO')) return '250-mx\r\n250 STARTTLS\r\n';
      if (line !== 'STARTTLS') return undefined;
      socket.removeAllListeners('data');
      socket.write('220 go\r\n250-mx\r\n250-X-INJECTED\r\n250 PIPELINING\r\n250 injected\r\n');
      const secured = new TLSSocket(socket, { isServer: true, secureContext });
      secured.on('error', () => secured.destroy());
      secured.on('data', chunk => heard.push(`TLS ${chunk.toString('latin1')}`));
      return undefined;
    }),
  );
  await set.delivery.submit({ to: ['alice@dest.test'] });
  const attempts = await set.delivery.attempted();
  assert.deepEqual(attempts, { 'Deferred CommandTimeout': 1 });
  assert.deepEqual(heard.slice(1), ['STARTTLS', 'TLS EHLO mail.example.com\r\n']);
});

/** What a well-behaved next hop says. */
function behaving(extensions: string): (line: string) => string | undefined {
  let content = false;
  return line => {
    if (content && line !== '.') return undefined;
    content = line === 'DATA';
    if (content) return '354 go\r\n';
    return line.startsWith('EHLO') ? `250-mx\r\n250 ${extensions}\r\n` : '250 ok\r\n';
  };
}

/** Well-behaved, until it has received so many bytes in all: then it resets the connection. */
function resettingAfter(limitBytes: number): Conversation {
  return socket => {
    let received = 0;
    socket.on('data', chunk => {
      received += chunk.length;
      if (received >= limitBytes) socket.resetAndDestroy();
    });
    answering(socket, behaving('PIPELINING'));
  };
}

test('a next hop that resets the connection at any byte of the dialogue: everything arrives in the end', async () => {
  const zone: Record<string, ZoneTable[string]> = {};
  for (let n = 0; n < 40; n++) zone[`d${n}.test`] = [{ type: 'A', data: '127.0.0.1' }];
  await using stack = new AsyncDisposableStack();
  let connection = 0;
  const peer = stack.use(
    await startRawPeer(socket => {
      connection += 1;
      resettingAfter(connection)(socket);
    }),
  );
  const dns = stack.use(await startZone(zone));
  const delivery = stack.use(
    await startDelivery({
      config: {
        nameservers: [dns.nameserver],
        retry: { initialDelaySeconds: 1, maxDelaySeconds: 1 },
        delivery: { mxPort: peer.port, commandTimeoutSeconds: 5 },
      },
    }),
  );
  for (const domain of Object.keys(zone)) await delivery.submit({ to: [`a@${domain}`] });
  await waitUntil('all have arrived', async () => (await delivery.queue.stats()).totals.delivered === 40, {
    limitMs: 30_000,
  });
  await delivery.settled({ accepted: 40, delivered: 40, failed: 0, depth: 0 });
  assert.ok(connection > 150);
});

for (const reply of ['', '220 go\r\n']) {
  test(`an address that breaks off at STARTTLS, having said "${reply.trim()}", is not asked for it again for a while`, async () => {
    const heard: string[] = [];
    await using set = await attackedBy(socket => {
      const behave = behaving('STARTTLS');
      answering(socket, line => {
        heard.push(line);
        if (line === 'STARTTLS') socket.end(reply);
        if (line === '.') socket.end('250 taken\r\n');
        return behave(line);
      });
    });
    for (const delivered of [1, 2, 3]) {
      await set.delivery.submit({ to: ['alice@dest.test'] });
      await set.delivery.settled({ delivered, depth: 0 });
    }
    assert.equal(heard.filter(line => line === 'STARTTLS').length, 1);
    assert.equal(heard.filter(line => line === '.').length, 3);
  });
}
