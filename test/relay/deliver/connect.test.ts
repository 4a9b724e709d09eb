import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connector } from '../../../relay/deliver/connect.ts';
import type { MailResolver } from '../../../relay/deliver/resolver.ts';
import { startScriptedMx } from '../../support/scripted-mx.ts';
import { waitUntil } from '../../support/wait-until.ts';

const here: MailResolver = {
  mx: async () => ({ type: 'NoSuchRecord' }),
  addresses: async () => ({ type: 'Found', values: ['127.0.0.1'] }),
  cancel: () => undefined,
};

test('whoever stops in the middle of a TLS handshake does not begin anew in the clear', async () => {
  await using mx = await startScriptedMx({
    extensions: ['STARTTLS'],
    script: ({ event }) => (event === 'STARTTLS' ? 'hang' : undefined),
  });
  const stopping = new AbortController();
  const connecting = new Connector(here, Date.now, Math.random).connect(
    {
      hosts: [{ name: 'mx.test', preference: 0 }],
      port: mx.port,
      tls: { mode: 'Opportunistic', implicit: false },
      smartHost: false,
      credentials: undefined,
    },
    { hostname: 'relay.test', connectTimeoutMs: 5000, commandTimeoutMs: 5000, signal: stopping.signal },
  );
  await waitUntil('STARTTLS', () => mx.commands.includes('1 STARTTLS'));
  stopping.abort(new Error('stopped'));
  const failure = await connecting;
  assert.ok('setback' in failure);
  assert.equal(failure.setback.reason, 'ShuttingDown');
  assert.equal(mx.connections, 1);
});
