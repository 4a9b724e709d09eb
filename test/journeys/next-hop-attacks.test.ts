import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { before, test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import { makeCertificate, type TestCertificate } from '../support/certificate.ts';
import { type Delivery, startDelivery } from '../support/delivery.ts';
import { startZone } from '../support/zone.ts';

let certificate: TestCertificate;
before(async () => {
  certificate = await makeCertificate('mx.dest.test');
});

type Conversation = (socket: Socket) => void;

interface Attacked extends AsyncDisposable {
  readonly delivery: Delivery;
  readonly connections: () => number;
}

/** A next hop that says whatever it wants, whenever it wants. */
async function attackedBy(talk: Conversation): Promise<Attacked> {
  await using stack = new AsyncDisposableStack();
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer(socket => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    talk(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
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
        delivery: { mxPort: address.port, commandTimeoutSeconds: 1, connectTimeoutSeconds: 1 },
      },
    }),
  );
  const owned = stack.move();
  return { delivery, connections: () => connections, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
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

/** Answers line by line; the first of the answers is the greeting. */
function answering(socket: Socket, answer: (line: string) => string | undefined): void {
  let input = '';
  socket.write('220 mx.dest.test\r\n');
  socket.on('data', chunk => {
    input += chunk.toString('latin1');
    for (let end = input.indexOf('\r\n'); end >= 0; end = input.indexOf('\r\n')) {
      const line = input.slice(0, end);
      input = input.slice(end + 2);
      const said = answer(line);
      if (said !== undefined) socket.write(said);
    }
  });
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
