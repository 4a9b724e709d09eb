import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeCertificate, type TestCertificate } from '../support/certificate.ts';
import { startDelivery } from '../support/delivery.ts';
import { answering, startRawPeer } from '../support/raw-peer.ts';
import { allExtensions, startScriptedMx } from '../support/scripted-mx.ts';
import { waitUntil } from '../support/wait-until.ts';
import { startZone } from '../support/zone.ts';

let certificate: TestCertificate;
before(async () => {
  certificate = await makeCertificate('smtp.upstream.test');
});

/** So long that only a reload can end it within a test. */
const retry = { initialDelaySeconds: 3600, maxDelaySeconds: 3600 };

/** To a smart host that wants a password, and takes it in the clear. */
const withLogin = (port: number) =>
  ({
    type: 'SmartHost',
    smartHost: {
      host: '127.0.0.1',
      port,
      tls: 'Disabled',
      credentialsDir: 'credentials',
      plaintextAuthentication: 'Allowed',
    },
  }) as const;

const credentials = (password: string) => ({
  credentials: new Map([['credentials', { username: 'relay', password }]]),
});

test('a smart host that rests for a wrong password is tried again once the password is changed, not before', async () => {
  await using stack = new AsyncDisposableStack();
  const right = Buffer.from('\0relay\0sesame').toString('base64');
  const mx = stack.use(
    await startScriptedMx({
      extensions: [...allExtensions, 'AUTH PLAIN'],
      script: ({ event, line }) => (event === 'AUTH' && !line.endsWith(right) ? '535 5.7.8 no' : undefined),
    }),
  );
  const delivery = stack.use(
    await startDelivery({ config: { route: withLogin(mx.port), retry }, secrets: credentials('wrong') }),
  );
  await delivery.submit({ to: ['tried@dest.test'] });
  assert.deepEqual(await delivery.attempted(), { 'Deferred UpstreamAuthFailed': 1 });
  for (const name of ['alice', 'bob', 'carol']) await delivery.submit({ to: [`${name}@dest.test`] });
  delivery.setState({ revision: 'nothing that matters' }, credentials('wrong'));
  await waitUntil('what came later was sent back', async () =>
    (await delivery.entries()).some(({ lastReason }) => lastReason === 'LaneBackedOff'),
  );
  assert.equal(mx.connections, 1);
  delivery.setState({}, credentials('sesame'));
  await delivery.settled({ accepted: 4, delivered: 3, depth: 1 });
  assert.deepEqual(await delivery.attempts(), { 'Deferred UpstreamAuthFailed': 1, 'Delivered Accepted': 3 });
});

test('mail that rests for a smart host goes out by another one that a reload names', async () => {
  await using stack = new AsyncDisposableStack();
  const mx = stack.use(await startScriptedMx());
  const dead = stack.use(await startRawPeer(socket => socket.resetAndDestroy()));
  const route = (port: number) =>
    ({ type: 'SmartHost', smartHost: { host: '127.0.0.1', port, tls: 'Disabled' } }) as const;
  const delivery = stack.use(await startDelivery({ config: { route: route(dead.port), retry } }));
  await delivery.submit({ to: ['tried@dest.test'] });
  await delivery.attempted();
  await delivery.submit({ to: ['alice@dest.test'] });
  delivery.setState({ route: route(mx.port) });
  await delivery.settled({ accepted: 2, delivered: 1, depth: 1 });
  assert.equal(mx.messages[0]?.rcpts[0], 'RCPT TO:<alice@dest.test>');
});

test('domains that rest for a nameserver are asked for again when a reload names another', async () => {
  await using stack = new AsyncDisposableStack();
  const mx = stack.use(await startScriptedMx());
  const broken = stack.use(await startZone({ 'dest.test': [{ type: 'SERVFAIL' }] }));
  const good = stack.use(await startZone({ 'dest.test': [{ type: 'A', data: '127.0.0.1' }] }));
  const config = { retry, delivery: { mxPort: mx.port } };
  const delivery = stack.use(await startDelivery({ config: { ...config, nameservers: [broken.nameserver] } }));
  await delivery.submit({ to: ['tried@dest.test'] });
  assert.deepEqual(await delivery.attempted(), { 'Deferred DnsUnavailable': 1 });
  await delivery.submit({ to: ['alice@dest.test'] });
  delivery.setState({ nameservers: [good.nameserver] });
  await delivery.settled({ accepted: 2, delivered: 1, depth: 1 });
});

test('a new password is the one of the next connection', async () => {
  await using stack = new AsyncDisposableStack();
  const mx = stack.use(
    await startScriptedMx({
      extensions: ['AUTH PLAIN'],
      script: ({ event }) => (event === 'MESSAGE' ? { reply: '250 taken', close: 'end' } : undefined),
    }),
  );
  const delivery = stack.use(
    await startDelivery({ config: { route: withLogin(mx.port) }, secrets: credentials('first') }),
  );
  await delivery.submit({ to: ['alice@dest.test'] });
  await delivery.settled({ delivered: 1 });
  delivery.setState({}, credentials('second'));
  await delivery.submit({ to: ['bob@dest.test'] });
  await delivery.settled({ delivered: 2, depth: 0 });
  assert.deepEqual(
    mx.commands
      .filter(line => line.includes('AUTH'))
      .map(line => Buffer.from(line.split(' ')[3] ?? '', 'base64').toString()),
    ['\0relay\0first', '\0relay\0second'],
  );
});

test('AUTH LOGIN is spoken where the smart host does not know PLAIN', async () => {
  await using stack = new AsyncDisposableStack();
  const heard: string[] = [];
  const answers: Readonly<Record<string, string>> = {
    'AUTH LOGIN': '334 VXNlcm5hbWU6\r\n',
    cmVsYXk: '334 UGFzc3dvcmQ6\r\n',
    c2VzYW1l: '235 2.7.0 welcome\r\n',
    DATA: '354 go\r\n',
  };
  const peer = stack.use(
    await startRawPeer(socket =>
      answering(socket, line => {
        heard.push(line);
        if (line.startsWith('EHLO')) return '250-mx\r\n250 AUTH LOGIN CRAM-MD5\r\n';
        if (heard.includes('DATA') && line !== 'DATA' && line !== '.') return undefined;
        return answers[line.replace(/=+$/, '')] ?? '250 ok\r\n';
      }),
    ),
  );
  const delivery = stack.use(
    await startDelivery({ config: { route: withLogin(peer.port) }, secrets: credentials('sesame') }),
  );
  await delivery.submit({ to: ['alice@dest.test'] });
  await delivery.settled({ delivered: 1, depth: 0 });
  assert.deepEqual(heard.slice(1, 4), ['AUTH LOGIN', 'cmVsYXk=', 'c2VzYW1l']);
});

for (const trusted of [true, false]) {
  const outcome = trusted ? 'Delivered Accepted' : 'Deferred TlsFailed';
  test(`a message that asks for REQUIRETLS, to a host whose certificate is ${trusted ? '' : 'not '}to be trusted: ${outcome}`, async () => {
    await using stack = new AsyncDisposableStack();
    const pem = certificate.certificate.toString();
    const mx = stack.use(
      await startScriptedMx({
        extensions: [...allExtensions, 'REQUIRETLS'],
        tls: { key: certificate.privateKey.toString(), cert: pem },
      }),
    );
    const zone = stack.use(await startZone({ 'smtp.upstream.test': [{ type: 'A', data: '127.0.0.1' }] }));
    const smartHost = { host: 'smtp.upstream.test', port: mx.port, tls: 'Opportunistic' } as const;
    const caFile = trusted ? { caFile: 'ca.pem' } : {};
    const delivery = stack.use(
      await startDelivery({
        config: {
          nameservers: [zone.nameserver],
          route: { type: 'SmartHost', smartHost: { ...smartHost, ...caFile } },
          retry,
        },
        secrets: { trustAnchors: new Map([['ca.pem', pem]]) },
      }),
    );
    await delivery.submit({ to: ['alice@dest.test'], sender: { requireTls: true } });
    assert.deepEqual(await delivery.attempted(), { [outcome]: 1 });
    const [message] = mx.messages;
    assert.equal(message?.tls, trusted ? true : undefined);
    assert.equal(message?.mail.endsWith(' REQUIRETLS'), trusted ? true : undefined);
  });
}
