/** Mail whose DomainPolicy demanded TLS on the way out, and was removed, or came to ask less, while the mail waited. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { RelayConfigInput } from '../../relay/config.ts';
import { makeCertificate, type TestCertificate } from '../support/certificate.ts';
import { drained, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { startScriptedMx } from '../support/scripted-mx.ts';
import { reconfigure, sendOne, untilTlsFailsAgain } from './mail-that-wants-tls.ts';

let certificate: TestCertificate;
before(async () => {
  certificate = await makeCertificate('mx.test');
});

type Tls = 'Opportunistic' | 'Required' | 'Verified';

/** `undefined`: without the policy. */
function configuration(revision: string, port: number, tls: Tls | undefined): RelayConfigInput {
  const policy = { namespace: 'mail', name: 'example', domains: ['example.com'], senders: { namespaces: ['mail'] } };
  return relayConfig({
    revision,
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port, tls: 'Opportunistic' } },
    retry: { initialDelaySeconds: 1, maxDelaySeconds: 1 },
    policies: tls === undefined ? [] : [{ ...policy, tls }],
  });
}

test('mail of a policy that is removed waits for the TLS that it was accepted under, over a restart too, and goes out by it', async () => {
  const clear = await startScriptedMx();
  const { port } = clear;
  await using relay = await startRelayProcess(configuration('with', port, 'Required'));
  try {
    await sendOne(relay);
    await untilTlsFailsAgain(relay);
    await reconfigure(relay, configuration('without', port, undefined));
    await untilTlsFailsAgain(relay);
    await relay.stop();
    await relay.start();
    await untilTlsFailsAgain(relay);
    assert.deepEqual(clear.messages, []);
  } finally {
    await clear[Symbol.asyncDispose]();
  }
  const tls = { key: certificate.privateKey.toString(), cert: certificate.certificate.toString() };
  await using mx = await startScriptedMx({ port, tls });
  await drained(relay);
  assert.deepEqual(
    mx.messages.map(message => message.tls),
    [true],
  );
});

test('mail of a policy that verifies is not shown to a host of another name when the policy is removed', async () => {
  const tls = { key: certificate.privateKey.toString(), cert: certificate.certificate.toString() };
  await using mx = await startScriptedMx({ tls });
  await using relay = await startRelayProcess(configuration('with', mx.port, 'Verified'));
  await sendOne(relay);
  await untilTlsFailsAgain(relay);
  await reconfigure(relay, configuration('without', mx.port, undefined));
  await untilTlsFailsAgain(relay);
  assert.deepEqual(mx.messages, []);
});

test('a policy that is there and asks less than before asks it for what waits, too', async () => {
  await using clear = await startScriptedMx();
  await using relay = await startRelayProcess(configuration('strict', clear.port, 'Required'));
  await sendOne(relay);
  await untilTlsFailsAgain(relay);
  await reconfigure(relay, configuration('lenient', clear.port, 'Opportunistic'));
  await drained(relay);
  assert.equal(clear.messages.length, 1);
});
