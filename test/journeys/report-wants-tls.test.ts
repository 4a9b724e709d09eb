/**
 * The report of a failure holds the header of the message that failed. Where that message had to leave by TLS, so has the report.
 * The policy's own smart host has TLS and refuses the recipient; reports take the relay's route, to a host of the owner's.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { RelayConfigInput } from '../../relay/config.ts';
import { makeCertificate } from '../support/certificate.ts';
import { startDelivery } from '../support/delivery.ts';
import { drained, metric, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { type ScriptedMx, startScriptedMx } from '../support/scripted-mx.ts';
import { startZone } from '../support/zone.ts';
import { reconfigure, sendOne, untilTlsFailsAgain } from './mail-that-wants-tls.ts';

const mxName = 'mx.test';
let tls: { readonly key: string; readonly cert: string };
before(async () => {
  const { privateKey, certificate } = await makeCertificate(mxName);
  tls = { key: privateKey.toString(), cert: certificate.toString() };
});

const smartHost = (port: number) =>
  ({ type: 'SmartHost', smartHost: { host: '127.0.0.1', port, tls: 'Opportunistic' } }) as const;

interface Ways {
  readonly ofMail: number;
  readonly ofReports: number;
}

/** `undefined`: without the policy. */
function configuration(
  revision: string,
  { ofMail, ofReports }: Ways,
  demand: 'Opportunistic' | 'Required' | undefined,
): RelayConfigInput {
  const policy = {
    namespace: 'mail',
    name: 'example',
    domains: ['example.com'],
    senders: { namespaces: ['mail'] },
    route: smartHost(ofMail),
    bouncesTo: 'returns@owner.example',
  };
  return relayConfig({
    revision,
    route: smartHost(ofReports),
    retry: { initialDelaySeconds: 1, maxDelaySeconds: 1 },
    policies: demand === undefined ? [] : [{ ...policy, tls: demand }],
  });
}

/** By TLS alone. */
function startRefusing(): Promise<ScriptedMx> {
  return startScriptedMx({ tls, script: ({ event }) => (event === 'RCPT' ? '550 5.1.1 nobody' : undefined) });
}

/** Not even the beginning of a transaction. */
function assertNothingSent({ messages, commands }: ScriptedMx): void {
  assert.deepEqual(messages, []);
  assert.deepEqual(
    commands.filter(line => /MAIL|RCPT|DATA|BDAT/.test(line)),
    [],
  );
}

/** Undelivered, of what `sendOne` sends. */
function assertReport({ messages }: ScriptedMx, byTls: boolean): void {
  assert.deepEqual(
    messages.map(({ rcpts, tls: secured }) => [rcpts, secured]),
    [[['RCPT TO:<returns@owner.example> NOTIFY=NEVER'], byTls]],
  );
  const [report] = messages;
  assert.match(report?.mail ?? '', /^MAIL FROM:<> /);
  assert.match(report?.content.toString() ?? '', /Action: failed[\s\S]*Subject: hello/);
}

test('a report about mail that must leave by TLS waits for a host without, over a restart and without the policy too, and goes by TLS', async () => {
  await using refusing = await startRefusing();
  const clear = await startScriptedMx();
  const ways = { ofMail: refusing.port, ofReports: clear.port };
  await using relay = await startRelayProcess(configuration('with', ways, 'Required'));
  try {
    await sendOne(relay);
    await untilTlsFailsAgain(relay);
    await reconfigure(relay, configuration('without', ways, undefined));
    await relay.stop();
    await relay.start();
    await untilTlsFailsAgain(relay);
    assertNothingSent(clear);
  } finally {
    await clear[Symbol.asyncDispose]();
  }
  await using secured = await startScriptedMx({ port: clear.port, tls });
  await drained(relay);
  assertReport(secured, true);
});

test('a report waits for TLS no longer once the policy asks for less', async () => {
  await using refusing = await startRefusing();
  await using clear = await startScriptedMx();
  const ways = { ofMail: refusing.port, ofReports: clear.port };
  await using relay = await startRelayProcess(configuration('strict', ways, 'Required'));
  await sendOne(relay);
  await untilTlsFailsAgain(relay);
  await reconfigure(relay, configuration('lenient', ways, 'Opportunistic'));
  await drained(relay);
  assertReport(clear, false);
});

test('mail that never finds TLS fails, and so does its report, which nobody is told of; nothing of either crosses the wire', async () => {
  await using clear = await startScriptedMx();
  const config = configuration('short', { ofMail: clear.port, ofReports: clear.port }, 'Required');
  const retry = { initialDelaySeconds: 1, maxDelaySeconds: 1, messageLifetimeSeconds: 2 };
  await using relay = await startRelayProcess({ ...config, retry });
  await sendOne(relay);
  const metrics = await drained(relay);
  assert.equal(metric(metrics, 'postroad_queue_failed_recipients_total'), 2);
  assert.equal(metric(metrics, 'postroad_deliver_attempts_total{outcome="Failed",reason="Expired"}'), 2);
  assert.equal(metric(metrics, 'postroad_bounce_dsns_total{action="failed"}'), 1);
  assertNothingSent(clear);
});

test('a report about a message with REQUIRETLS goes by verified TLS to a next hop that does not know REQUIRETLS; the message does not', async () => {
  await using mx = await startScriptedMx({ tls });
  await using zone = await startZone({ [mxName]: [{ type: 'A', data: '127.0.0.1' }] });
  const upstream = { host: mxName, port: mx.port, tls: 'Opportunistic', caFile: 'ca.pem' } as const;
  await using delivery = await startDelivery({
    config: { nameservers: [zone.nameserver], route: { type: 'SmartHost', smartHost: upstream } },
    secrets: { trustAnchors: new Map([['ca.pem', tls.cert]]) },
  });
  await delivery.submit({ to: ['alice@dest.test'], sender: { requireTls: true } });
  await delivery.settled({ accepted: 2, delivered: 1, failed: 1, depth: 0 });
  assert.deepEqual(await delivery.attempts(), { 'Delivered Accepted': 1, 'Failed RequireTlsUnsupported': 1 });
  assert.deepEqual(
    mx.messages.map(({ rcpts, tls: secured }) => [rcpts, secured]),
    [[['RCPT TO:<app@shop.example.com> NOTIFY=NEVER'], true]],
  );
  assert.doesNotMatch(mx.messages[0]?.mail ?? '', /REQUIRETLS/);
});
