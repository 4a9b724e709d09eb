import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { domainPolicyKind } from '../../../../crds/domain-policy.ts';
import { httpPort } from '../../../../crds/listener.ts';
import { mailRelayKind } from '../../../../crds/mail-relay.ts';
import type { Desired } from '../../../../operator/mailrelay/desired/desired.ts';
import type { AttachedPolicy } from '../../../../operator/mailrelay/desired/input.ts';
import type { DesiredObject } from '../../../../operator/mailrelay/desired/object.ts';
import { parseConfig, type RelayConfig } from '../../../../relay/config.ts';
import { valuesOf } from '../../../crds/arbitrary.ts';
import { at, attached, desiredOf, filesOf, find, secretMarker, storedRelay } from '../relay-input.ts';

type Fields = Readonly<Record<string, unknown>>;

const dnsLabel = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
const labelKey = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$/;

function configIn(desired: Desired): RelayConfig {
  return parseConfig(
    JSON.parse(find(desired, 'ConfigMap', `${nameOf(desired)}-relay-config`)?.data?.['relay.json'] ?? ''),
  );
}

function nameOf(desired: Desired): string {
  return String(find(desired, 'ServiceAccount')?.metadata.name).replace(/-relay$/, '');
}

function workloadOf(desired: Desired): DesiredObject | undefined {
  return find(desired, 'StatefulSet') ?? find(desired, 'Deployment');
}

function podSpecOf(desired: Desired): unknown {
  return at(workloadOf(desired), 'spec', 'template');
}

/** Every string of a value that is a path below the folder of the files. */
function fileNamesIn(value: unknown): string[] {
  return [...JSON.stringify(value).matchAll(/"\/etc\/postroad\/([^"]+)"/g)].map(([, name]) => name ?? '');
}

function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, part]) => [name, shuffled(part)]),
  );
}

const relayNames = fc.stringMatching(/^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/);
const relays = fc.record({ name: relayNames, spec: valuesOf(mailRelayKind.spec) });

const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
const worlds = fc.sample(
  fc.record({ relay: relays, policies: fc.array(valuesOf(domainPolicyKind.spec), { maxLength: 3 }) }),
  { seed, numRuns: 60 },
);
// Made once for all of these tests: making them takes far longer than looking at them.
const cases = worlds.map(({ relay: { name, spec }, policies }) => ({
  name,
  spec: spec as Fields,
  desired: desiredOf(storedRelay(spec as Fields, { name }), { policies: withoutRivals(policies as Fields[]) }),
}));

function eachRelay(check: (desired: Desired, spec: Fields, name: string) => void): void {
  for (const [index, { desired, spec, name }] of cases.entries()) {
    try {
      check(desired, spec, name);
    } catch (cause) {
      throw new Error(`relay ${index} of seed ${seed}: ${name} ${JSON.stringify(spec)}`, { cause });
    }
  }
}

function withoutRivals(specs: readonly Fields[]): AttachedPolicy[] {
  const taken = new Set<string>();
  return specs
    .map((one, index) => attached(one, { name: `p${index}` }))
    .filter(({ policy }) => {
      const free = policy.spec.domains.every(domain => !taken.has(domain));
      for (const domain of policy.spec.domains) taken.add(domain);
      return free;
    });
}

describe('the objects of any valid relay', () => {
  it('have names and labels that the API server takes, one owner, and each name once', () => {
    eachRelay(({ objects }) => {
      const seen = new Set<string>();
      for (const { kind, metadata } of objects) {
        assert.match(metadata.name, dnsLabel);
        assert.ok(!seen.has(`${kind} ${metadata.name}`), `${kind} ${metadata.name} twice`);
        seen.add(`${kind} ${metadata.name}`);
        assert.equal(metadata.ownerReferences?.length, 1);
        assert.equal(metadata.namespace, 'mail');
        for (const [key, value] of Object.entries(metadata.labels ?? {})) {
          assert.match(key, labelKey);
          assert.match(value, labelValue);
        }
      }
    });
  });

  it('are plain JSON, and name no pod that is longer than a host name may be', () => {
    eachRelay(desired => {
      for (const object of desired.objects) assert.deepEqual(JSON.parse(JSON.stringify(object)), object);
      const name = String(workloadOf(desired)?.metadata.name);
      // A StatefulSet labels its pods with its name, a hyphen and ten characters; pods of a Deployment add six more.
      assert.ok(name.length <= 63 - 17, name);
    });
  });

  it('hold secrets in Secrets alone, and every file that the configuration names', () => {
    eachRelay(desired => {
      const files = filesOf(desired);
      for (const object of desired.objects.filter(({ kind }) => kind !== 'Secret'))
        assert.ok(!JSON.stringify(object).includes(secretMarker), `${object.kind} ${object.metadata.name}`);
      for (const name of fileNamesIn(configIn(desired))) assert.ok(files.has(name), name);
      assert.equal(new Set(fileNamesIn(configIn(desired))).size, files.size, 'and no other file');
    });
  });

  it('send each port of the Service to the port on which the relay listens', () => {
    eachRelay(desired => {
      const ports = at(find(desired, 'Service', nameOf(desired)), 'spec', 'ports') as {
        port: number;
        targetPort: number;
      }[];
      const config = configIn(desired);
      const expected = new Map(config.listeners.map(({ port, bindPort }) => [port, bindPort]));
      if (!expected.has(httpPort)) expected.set(httpPort, config.http.bindPort);
      assert.deepEqual(new Map(ports.map(({ port, targetPort }) => [port, targetPort])), expected);
    });
  });

  it('are the same however the fields of the spec are ordered', () => {
    eachRelay((_, spec, name) => {
      const one = desiredOf(storedRelay(spec, { name }));
      const other = desiredOf(storedRelay(shuffled(spec) as Fields, { name }));
      assert.deepEqual(other, one);
      assert.equal(
        find(other, 'ConfigMap')?.data?.['relay.json'],
        find(one, 'ConfigMap')?.data?.['relay.json'],
        'to the byte',
      );
    });
  });

  it('run pods that keep to the restricted Pod Security Standard, and hold no token', () => {
    eachRelay(desired => {
      const spec = at(podSpecOf(desired), 'spec');
      const container = at(spec, 'containers', 0);
      assert.equal(at(spec, 'automountServiceAccountToken'), false);
      assert.equal(at(spec, 'securityContext', 'runAsNonRoot'), true);
      assert.deepEqual(at(spec, 'securityContext', 'seccompProfile'), { type: 'RuntimeDefault' });
      assert.deepEqual(at(container, 'securityContext'), {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      for (const field of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers'])
        assert.equal(at(spec, field), undefined);
      for (const volume of at(spec, 'volumes') as object[])
        assert.ok('projected' in volume || 'emptyDir' in volume, JSON.stringify(volume));
    });
  });

  it('give pods longer to stop than the relay takes', () => {
    eachRelay(desired => {
      const graceMs = Number(/--grace-seconds=(\d+)/.exec(JSON.stringify(podSpecOf(desired)))?.[1]);
      const preStop = Number(
        at(podSpecOf(desired), 'spec', 'containers', 0, 'lifecycle', 'preStop', 'sleep', 'seconds'),
      );
      // relay/main.ts closes for up to 5 s after its grace period.
      assert.ok(Number(at(podSpecOf(desired), 'spec', 'terminationGracePeriodSeconds')) >= preStop + graceMs + 5 + 1);
    });
  });
});

describe('a pod', () => {
  const base = storedRelay();
  const template = (relay = base, changes = {}): unknown => podSpecOf(desiredOf(relay, changes));

  const live: readonly [string, Fields][] = [
    [
      'a listener',
      {
        listeners: [
          { name: 'smtp', port: 25 },
          { name: 'submission', port: 587 },
        ],
      },
    ],
    ['the host name', { hostname: 'mx.example.com' }],
    [
      'the route',
      {
        route: {
          type: 'SmartHost',
          smartHost: { host: 'smtp.example.net', port: 587, credentialsSecretRef: { name: 'provider' } },
        },
      },
    ],
    ['who may log in', { clients: { usersSecretRef: { name: 'users' } } }],
    ['where its certificate is from', { tls: { type: 'SecretRef', secretRef: { name: 'certificate' } } }],
    ['limits', { limits: { maxRecipients: 5 } }],
    ['the number of pods', { replicas: 5 }],
    ['the size of volumes', { queue: { type: 'Volume', volume: { size: '20Gi' } } }],
    ['monitoring', { monitoring: { podMonitor: 'Disabled' }, networkPolicy: 'Disabled' }],
  ];
  for (const [what, spec] of live) {
    it(`does not restart for ${what}`, () => {
      assert.deepEqual(template(storedRelay(spec)), template());
    });
  }

  it('does not restart for policies, keys, certificates or passwords', () => {
    const certificate = { certificate: 'other', privateKey: 'other' };
    assert.deepEqual(template(base, { policies: [attached()], certificate }), template());
  });

  const restarting: readonly [string, Fields][] = [
    ['another image', { template: { image: 'registry.example.com/postroad:2' } }],
    ['other resources', { template: { resources: { limits: { memory: '1Gi' } } } }],
    ['a longer grace period', { shutdown: { gracePeriodSeconds: 26 } }],
  ];
  for (const [what, spec] of restarting) {
    it(`control: restarts for ${what}`, () => {
      assert.notDeepEqual(template(storedRelay(spec)), template());
    });
  }
});

describe('what should not be', () => {
  const everything = { certManager: true, podMonitor: true, prometheusRule: true };
  const absent = (spec: Fields, metadata: Fields = {}, changes = {}): string[] =>
    desiredOf(storedRelay(spec, metadata), { kinds: everything, ...changes }).absent.map(
      ({ kind, name }) => `${kind} ${name}`,
    );
  const spareFiles = [1, 2, 3, 4, 5, 6, 7].map(shard => `Secret outbound-relay-files-${shard}`);

  it('is what was switched off', () => {
    const off = { networkPolicy: 'Disabled', monitoring: { podMonitor: 'Disabled', rules: 'Disabled' } };
    assert.deepEqual(absent(off), [
      'NetworkPolicy outbound-relay',
      'HorizontalPodAutoscaler outbound-relay',
      'Certificate outbound-relay',
      'PodMonitor outbound-relay',
      'PrometheusRule outbound-relay',
      ...spareFiles,
    ]);
  });

  it('says nothing of kinds that the cluster does not know', () => {
    const kinds = { certManager: false, podMonitor: false, prometheusRule: false };
    assert.deepEqual(absent({}, {}, { kinds }), ['HorizontalPodAutoscaler outbound-relay', ...spareFiles]);
  });

  it('is the Service for clients, once the relay is being deleted', () => {
    const deleted = absent({}, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    assert.ok(deleted.includes('Service outbound'));
    assert.ok(!absent({}).includes('Service outbound'));
  });

  it('never overlaps with what should be', () => {
    eachRelay(({ objects, absent: gone }) => {
      for (const one of gone) assert.equal(find({ objects }, one.kind, one.name), undefined);
    });
  });
});

describe('the network policy', () => {
  it('lets everybody to the listeners, and to HTTP only the operator and the namespaces that monitor', () => {
    const policy = find(desiredOf(storedRelay()), 'NetworkPolicy');
    const rules = at(policy, 'spec', 'ingress') as { ports: { port: number }[]; from?: unknown[] }[];
    const http = rules.filter(({ ports }) => ports.some(({ port }) => port === httpPort));
    assert.equal(http.length, 1);
    assert.equal(http[0]?.from?.length, 2);
    assert.deepEqual(at(http[0], 'from', 0, 'podSelector', 'matchLabels', 'app.kubernetes.io/component'), 'operator');
    assert.deepEqual(rules[0]?.ports, [{ port: 2525, protocol: 'TCP' }]);
  });
});
