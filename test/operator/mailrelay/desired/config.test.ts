import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { domainPolicyKind } from '../../../../crds/domain-policy.ts';
import { mailRelayKind } from '../../../../crds/mail-relay.ts';
import { admitPolicies } from '../../../../operator/domainpolicy/attach.ts';
import { type ObservedRelay, relayConfigOf, type SecretFiles } from '../../../../operator/mailrelay/desired/config.ts';
import { parseConfig } from '../../../../relay/config.ts';
import { valuesOf } from '../../../crds/arbitrary.ts';
import { domainPolicy, mailRelay } from '../../builders.ts';

const files: SecretFiles = {
  certificateFile: '/tls/tls.crt',
  privateKeyFile: '/tls/tls.key',
  usersDir: '/users',
  dkimKeyFile: (policy, selector) => `/dkim/${policy.metadata.namespace}_${policy.metadata.name}_${selector}`,
  credentialsDir: (namespace, secret) => `/credentials/${namespace}/${secret}`,
  caFile: (namespace, secret) => `/authorities/${namespace}/${secret}/ca.crt`,
};

function observed(changes: Partial<ObservedRelay>): ObservedRelay {
  return {
    relay: mailRelay(),
    policies: [],
    namespaces: new Map(),
    files,
    bind: { address: '127.0.0.1', httpAddress: '::1', httpPort: 8080 },
    ...changes,
  };
}

function configOf(changes: Partial<ObservedRelay>): ReturnType<typeof parseConfig> {
  return parseConfig({ revision: '1', ...relayConfigOf(observed(changes)) });
}

describe('the configuration of a relay', () => {
  it('listens on the ports of the pod', () => {
    const ports: readonly [number, number | undefined, number][] = [
      [25, undefined, 2525],
      [587, undefined, 2587],
      [465, undefined, 2465],
      [26, undefined, 2026],
      [1023, undefined, 3023],
      [1024, undefined, 1024],
      [8025, undefined, 8025],
      [25, 10_025, 10_025],
    ];
    for (const [port, bindPort, expected] of ports) {
      const relay = mailRelay({ listeners: [{ name: 'one', port, ...(bindPort !== undefined && { bindPort }) }] });
      assert.equal(configOf({ relay }).listeners[0]?.bindPort, expected);
    }
  });

  it('requires TLS on SMTPS, and names a certificate only where a listener offers TLS', () => {
    const smtps = mailRelay({ listeners: [{ name: 'smtps', port: 465, protocol: 'SMTPS' }] });
    assert.equal(configOf({ relay: smtps }).listeners[0]?.tls, 'Required');
    assert.deepEqual(configOf({ relay: smtps }).tls, {
      certificateFile: '/tls/tls.crt',
      privateKeyFile: '/tls/tls.key',
    });
    const plain = mailRelay({ listeners: [{ name: 'smtp', port: 25, tls: 'Disabled' }] });
    assert.equal(configOf({ relay: plain }).tls, undefined);
  });

  it('turns sizes into bytes', () => {
    const relay = mailRelay({ limits: { maxMessageSize: '1500k', minFreeDisk: 2_097_152, maxLineLengthBytes: 1000 } });
    const { limits } = configOf({ relay });
    assert.equal(limits.maxMessageSizeBytes, 1_500_000);
    assert.equal(limits.minFreeDiskBytes, 2_097_152);
    assert.equal(limits.maxLineBytes, 1000);
  });

  it('resolves Same, All and Selector to namespaces', () => {
    const namespaces = new Map([
      ['shop', { team: 'shop' }],
      ['shop-test', { team: 'shop' }],
      ['bank', { team: 'bank' }],
    ]);
    const chosen = (choice: unknown): readonly string[] | undefined => {
      const policy = domainPolicy({ senders: { namespaces: choice } });
      return configOf({ namespaces, policies: [{ policy, keys: [] }] }).policies[0]?.senders.namespaces;
    };
    assert.deepEqual(chosen({ from: 'Same' }), ['shop']);
    assert.deepEqual(chosen({ from: 'All' }), ['*']);
    assert.deepEqual(chosen({ from: 'Selector', selector: { matchLabels: { team: 'shop' } } }), ['shop', 'shop-test']);
    assert.deepEqual(chosen({ from: 'Selector', selector: { matchLabels: { team: 'none' } } }), []);
  });

  it('verifies a smart host unless told otherwise, and finds its credentials in the namespace of who named it', () => {
    const smartHost = {
      host: 'smtp.example.net',
      port: 465,
      protocol: 'SMTPS',
      credentialsSecretRef: { name: 'provider' },
    };
    const route = { type: 'SmartHost', smartHost };
    const config = configOf({
      relay: mailRelay({ route }),
      policies: [{ policy: domainPolicy({ route }), keys: [] }],
    });
    const expected = {
      host: 'smtp.example.net',
      port: 465,
      tls: 'Verified',
      implicitTls: true,
      plaintextAuthentication: 'Refused',
    };
    assert.deepEqual(config.route, {
      type: 'SmartHost',
      smartHost: { ...expected, credentialsDir: '/credentials/mail/provider' },
    });
    assert.deepEqual(config.policies[0]?.route, {
      type: 'SmartHost',
      smartHost: { ...expected, credentialsDir: '/credentials/shop/provider' },
    });
  });

  it('lets the password of a smart host travel without TLS only where that is said', () => {
    const smartHost = {
      host: 'smtp.example.net',
      port: 25,
      tls: 'Opportunistic',
      credentialsSecretRef: { name: 'provider' },
    };
    const said = (plaintextAuthentication?: 'Allowed') => {
      // Without it the resource asks for TLS where there is a password.
      const allowed = plaintextAuthentication ? { plaintextAuthentication } : { tls: 'Required' };
      const route = { type: 'SmartHost', smartHost: { ...smartHost, ...allowed } };
      const parsed = configOf({ relay: mailRelay({ route }) }).route;
      return parsed.type === 'SmartHost' && parsed.smartHost.plaintextAuthentication;
    };
    assert.equal(said('Allowed'), 'Allowed');
    assert.equal(said(), 'Refused');
  });

  it('is the same whatever the order of the policies', () => {
    const policies = ['b', 'a', 'c'].map(name => ({
      policy: domainPolicy({ domains: [`${name}.example.com`] }, { name }),
      keys: [{ selector: 's1', algorithm: 'Ed25519' as const }],
    }));
    assert.deepEqual(configOf({ policies }), configOf({ policies: policies.toReversed() }));
    assert.deepEqual(
      configOf({ policies }).policies.map(({ name }) => name),
      ['a', 'b', 'c'],
    );
  });

  it('passes the check of the relay, whatever valid objects it is made from', () => {
    fc.assert(
      fc.property(
        valuesOf(mailRelayKind.spec),
        fc.array(valuesOf(domainPolicyKind.spec), { maxLength: 4 }),
        (spec, specs) => {
          const relay = mailRelay({ ...(spec as object), policies: { namespaces: { from: 'All' } } });
          const policies = specs.map((one, index) =>
            domainPolicy(
              { ...(one as object), relayRef: { name: 'outbound', namespace: 'mail' } },
              { name: `p${index}` },
            ),
          );
          const attached = admitPolicies([relay], policies, new Map()).filter(
            ({ verdict }) => verdict.status === 'True',
          );
          assert.ok(policies.length === 0 || attached.length > 0);
          const keys = [{ selector: 's1', algorithm: 'RSA2048' as const }];
          configOf({ relay, policies: attached.map(({ policy }) => ({ policy, keys })) });
        },
      ),
      { numRuns: 60 },
    );
  });
});
