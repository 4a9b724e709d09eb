import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeCertificate, type TestCertificate } from '../support/certificate.ts';
import { type Delivery, startDelivery } from '../support/delivery.ts';
import { allExtensions, type MxOptions, type ScriptedMx, startScriptedMx } from '../support/scripted-mx.ts';
import { startZone } from '../support/zone.ts';

let certificate: TestCertificate;
before(async () => {
  certificate = await makeCertificate('smtp.upstream.test');
});

interface UpstreamOptions extends Omit<MxOptions, 'tls'> {
  readonly mode: 'Disabled' | 'Opportunistic' | 'Required' | 'Verified';
  readonly trusted?: boolean;
  readonly implicitTls?: boolean;
  readonly withTls?: boolean;
  readonly password?: string;
  readonly host?: string;
  readonly plaintextAuthentication?: 'Refused' | 'Allowed';
}

async function upstream(options: UpstreamOptions): Promise<{ mx: ScriptedMx; delivery: Delivery } & AsyncDisposable> {
  const { mode, trusted = true, implicitTls = false, withTls = true, host = 'smtp.upstream.test' } = options;
  const tls = {
    key: certificate.privateKey.toString(),
    cert: certificate.certificate.toString(),
    implicit: implicitTls,
  };
  await using stack = new AsyncDisposableStack();
  const mx = stack.use(await startScriptedMx({ ...options, ...(withTls ? { tls } : {}) }));
  const zone = stack.use(
    await startZone({
      'smtp.upstream.test': [{ type: 'A', data: '127.0.0.1' }],
      'other.upstream.test': [{ type: 'A', data: '127.0.0.1' }],
    }),
  );
  const delivery = stack.use(
    await startDelivery({
      config: {
        nameservers: [zone.nameserver],
        retry: { initialDelaySeconds: 600 },
        route: {
          type: 'SmartHost',
          smartHost: {
            host,
            port: mx.port,
            tls: mode,
            implicitTls,
            ...(trusted ? { caFile: 'ca.pem' } : {}),
            ...(options.password === undefined ? {} : { credentialsDir: 'credentials' }),
            plaintextAuthentication: options.plaintextAuthentication,
          },
        },
      },
      secrets: {
        trustAnchors: new Map([['ca.pem', certificate.certificate.toString()]]),
        credentials: new Map([['credentials', { username: 'relay', password: options.password ?? '' }]]),
      },
    }),
  );
  const owned = stack.move();
  return { mx, delivery, [Symbol.asyncDispose]: async () => await owned.disposeAsync() };
}

const cases: readonly (Omit<UpstreamOptions, 'mode'> & {
  readonly name: string;
  readonly mode: UpstreamOptions['mode'];
  readonly outcome: string;
  readonly encrypted?: boolean;
})[] = [
  { name: 'verified TLS by STARTTLS', mode: 'Verified', outcome: 'Delivered Accepted', encrypted: true },
  {
    name: 'verified TLS from the first byte',
    mode: 'Verified',
    implicitTls: true,
    outcome: 'Delivered Accepted',
    encrypted: true,
  },
  {
    name: 'a certificate that no trusted root signed',
    mode: 'Verified',
    trusted: false,
    outcome: 'Deferred TlsFailed',
  },
  {
    name: 'a certificate of another name',
    mode: 'Verified',
    host: 'other.upstream.test',
    outcome: 'Deferred TlsFailed',
  },
  {
    name: 'any certificate where TLS is only required',
    mode: 'Required',
    host: 'other.upstream.test',
    trusted: false,
    outcome: 'Delivered Accepted',
    encrypted: true,
  },
  { name: 'no STARTTLS where TLS is required', mode: 'Required', withTls: false, outcome: 'Deferred TlsFailed' },
  {
    name: 'no STARTTLS where TLS is opportunistic',
    mode: 'Opportunistic',
    withTls: false,
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  {
    name: 'STARTTLS refused where TLS is opportunistic',
    mode: 'Opportunistic',
    script: ({ event }) => (event === 'STARTTLS' ? '454 4.7.0 no' : undefined),
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  {
    name: 'a handshake that breaks where TLS is opportunistic',
    mode: 'Opportunistic',
    script: ({ event, count }) =>
      event === 'STARTTLS' && count === 1 ? { reply: '220 go', close: 'reset' } : undefined,
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  {
    name: 'a handshake that breaks where TLS is required',
    mode: 'Required',
    script: ({ event }) => (event === 'STARTTLS' ? { reply: '220 go', close: 'reset' } : undefined),
    outcome: 'Deferred TlsFailed',
  },
  { name: 'STARTTLS offered where TLS is disabled', mode: 'Disabled', outcome: 'Delivered Accepted', encrypted: false },
  {
    name: '5yz at the greeting',
    mode: 'Verified',
    script: ({ event }) => (event === 'GREETING' ? '554 5.7.1 go away' : undefined),
    outcome: 'Deferred UpstreamRefused',
  },
  {
    name: 'a name that does not exist',
    mode: 'Verified',
    host: 'typo.upstream.test',
    outcome: 'Deferred DnsUnavailable',
  },
  {
    name: 'MAIL refused for want of a login',
    mode: 'Verified',
    script: ({ event }) => (event === 'MAIL' ? '530 5.7.0 log in' : undefined),
    outcome: 'Deferred UpstreamAuthFailed',
  },
  {
    name: 'HELO only',
    mode: 'Opportunistic',
    withTls: false,
    script: ({ event }) => (event === 'EHLO' ? '502 what' : undefined),
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  { name: 'no extensions at all', mode: 'Verified', extensions: [], outcome: 'Delivered Accepted', encrypted: true },
  {
    name: 'a password by AUTH PLAIN',
    mode: 'Verified',
    password: 'sesame',
    extensions: [...allExtensions, 'AUTH PLAIN LOGIN'],
    outcome: 'Delivered Accepted',
    encrypted: true,
  },
  {
    name: 'a wrong password',
    mode: 'Verified',
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    script: ({ event }) => (event === 'AUTH' ? '535 5.7.8 no' : undefined),
    outcome: 'Deferred UpstreamAuthFailed',
  },
  {
    name: 'a password and no TLS to send it over',
    mode: 'Opportunistic',
    withTls: false,
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    outcome: 'Deferred UpstreamAuthFailed',
  },
  {
    name: 'a password and no STARTTLS, refused in the clear by name',
    mode: 'Opportunistic',
    withTls: false,
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    plaintextAuthentication: 'Refused',
    outcome: 'Deferred UpstreamAuthFailed',
  },
  {
    name: 'a password and no STARTTLS, allowed in the clear',
    mode: 'Opportunistic',
    withTls: false,
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    plaintextAuthentication: 'Allowed',
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  {
    name: 'a password allowed in the clear where STARTTLS is offered',
    mode: 'Opportunistic',
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    plaintextAuthentication: 'Allowed',
    outcome: 'Delivered Accepted',
    encrypted: true,
  },
  {
    name: 'a password allowed in the clear after a handshake that breaks',
    mode: 'Opportunistic',
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    plaintextAuthentication: 'Allowed',
    script: ({ event, count }) =>
      event === 'STARTTLS' && count === 1 ? { reply: '220 go', close: 'reset' } : undefined,
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  {
    name: 'a password refused in the clear after a handshake that breaks',
    mode: 'Opportunistic',
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    script: ({ event }) => (event === 'STARTTLS' ? { reply: '220 go', close: 'reset' } : undefined),
    outcome: 'Deferred TlsFailed',
  },
  {
    name: 'a password and TLS disabled',
    mode: 'Disabled',
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    outcome: 'Deferred UpstreamAuthFailed',
  },
  {
    name: 'a password allowed in the clear and TLS disabled',
    mode: 'Disabled',
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    plaintextAuthentication: 'Allowed',
    outcome: 'Delivered Accepted',
    encrypted: false,
  },
  {
    name: 'a password allowed in the clear and no STARTTLS where TLS is required',
    mode: 'Required',
    withTls: false,
    password: 'sesame',
    extensions: ['AUTH PLAIN LOGIN'],
    plaintextAuthentication: 'Allowed',
    outcome: 'Deferred TlsFailed',
  },
  { name: 'a password and no mechanism', mode: 'Verified', password: 'sesame', outcome: 'Deferred UpstreamAuthFailed' },
];

for (const { name, outcome, encrypted, ...options } of cases) {
  test(`smart host with ${name}: ${outcome}`, async () => {
    await using set = await upstream(options);
    await set.delivery.submit({ to: ['alice@dest.test'], from: null });
    assert.deepEqual(await set.delivery.attempted(), { [outcome]: 1 });
    assert.deepEqual(
      set.mx.messages.map(message => message.tls),
      outcome.startsWith('Delivered') ? [encrypted] : [],
    );
    const sent = Buffer.concat(set.mx.received.map(bytes => bytes)).toString('latin1');
    const offersAuth = options.extensions?.some(each => each.startsWith('AUTH')) === true;
    const mayLogIn = encrypted === true || options.plaintextAuthentication === 'Allowed' || options.mode === 'Verified';
    assert.equal(
      sent.includes('AUTH PLAIN AHJlbGF5AHNlc2FtZQ=='),
      options.password !== undefined && offersAuth && mayLogIn && outcome !== 'Deferred TlsFailed',
    );
    await set.delivery.settled({ accepted: 1, failed: 0 });
  });
}

test('a TLS session is resumed by the next connection', async () => {
  await using set = await upstream({
    mode: 'Verified',
    script: ({ event, count }) => (event === 'BDAT' && count === 1 ? { reply: '250 ok', close: 'end' } : undefined),
  });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ delivered: 1 });
  await set.delivery.submit({ to: ['bob@dest.test'] });
  await set.delivery.settled({ delivered: 2, depth: 0 });
  assert.equal(set.mx.resumed.length, 2);
  assert.equal(set.mx.resumed[1], true);
});
