import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MailRelayStatus } from '../../../crds/mail-relay.ts';
import { mailRelayStatus as statusSchema } from '../../../crds/mail-relay.ts';
import { validateNode } from '../../../crds/validate.ts';
import { reasons } from '../../../operator/conditions.ts';
import { drainDeadlineMs, isDrainOver } from '../../../operator/mailrelay/drain.ts';
import {
  type ClusterObservation,
  firstStatus,
  mailRelayStatus,
  type RelayObservation,
} from '../../../operator/mailrelay/status.ts';
import { appliedRevisionOf, podsToAsk, type WorkloadObservation } from '../../../operator/mailrelay/workload-status.ts';
import { pod, storedRelay } from './relay-input.ts';

const nowMs = Date.UTC(2026, 0, 1);
const workload: WorkloadObservation = {
  replicas: 2,
  readyReplicas: 2,
  updatedReplicas: 2,
  isCurrent: true,
  wanted: 2,
  scale: { replicas: 2, leaving: [] },
  isDrainOver: false,
  pods: [],
  refusedClaims: [],
};
const noCertificate = { reason: 'CertificatePending', message: 'asked of ClusterIssuer internal' } as const;

interface Changes extends Partial<Omit<RelayObservation, 'cluster'>> {
  readonly cluster?: Partial<ClusterObservation>;
  readonly workload?: Partial<WorkloadObservation>;
}

function observed({ cluster, workload: changes, ...rest }: Changes = {}): RelayObservation {
  return {
    relay: storedRelay(),
    notSupported: undefined,
    secretProblems: [],
    certificate: { notAfterMs: nowMs + 1, ownPem: undefined },
    listeners: [{ name: 'smtp', address: 'outbound.mail.svc', port: 25 }],
    address: 'outbound.mail.svc',
    attachedPolicies: 0,
    configurationRevision: 'r2',
    appliedRevision: 'r2',
    cluster: {
      workload: { ...workload, ...changes },
      taken: [],
      tooLarge: undefined,
      certificateProblem: undefined,
      ...cluster,
    },
    previous: undefined,
    stamp: { nowMs, generation: 3 },
    ...rest,
  };
}

function conditionsIn({ conditions = [] }: MailRelayStatus): Record<string, string> {
  return Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

const good = {
  Ready: 'True Ready',
  Accepted: 'True Accepted',
  ResolvedRefs: 'True ResolvedRefs',
  CertificateReady: 'True CertificateIssued',
  Programmed: 'True ConfigurationApplied',
  Progressing: 'False RolledOut',
  Draining: 'False NotDraining',
  Paused: 'False NotPaused',
};
const deleted = { deletionTimestamp: '2026-01-01T00:00:00Z' };
const leaving = { replicas: 3, leaving: ['outbound-relay-2'] };
const full = pod('outbound-relay-2', { report: { revision: 'r2', queuedRecipients: 1 } });

const cases: Readonly<Record<string, readonly [Changes, Partial<typeof good>]>> = {
  'all is well': [{}, {}],
  'a Secret is missing': [
    {
      secretProblems: [
        { reason: 'SecretNotFound', message: 'spec.clients.usersSecretRef: Secret mail/users is not there' },
      ],
    },
    { Ready: 'False SecretNotFound', ResolvedRefs: 'False SecretNotFound' },
  ],
  'somebody else has an object of our name': [
    { cluster: { taken: ['Service outbound'] } },
    { Ready: 'False NameTaken', Accepted: 'False NameTaken' },
  ],
  'the certificate is on its way': [
    { certificate: undefined, cluster: { certificateProblem: noCertificate } },
    { Ready: 'Unknown CertificatePending', CertificateReady: 'Unknown CertificatePending' },
  ],
  'there is no cert-manager': [
    { certificate: undefined, cluster: { certificateProblem: { reason: 'CertManagerNotFound', message: '' } } },
    { Ready: 'False CertManagerNotFound', CertificateReady: 'False CertManagerNotFound' },
  ],
  'the certificate has ended': [
    { certificate: { notAfterMs: nowMs, ownPem: undefined } },
    { Ready: 'False CertificateExpired', CertificateReady: 'False CertificateExpired' },
  ],
  'what it asks for is not supported': [
    {
      notSupported: 'spec.queue.type must be Volume without a cluster',
      workload: { readyReplicas: 0 },
    },
    { Ready: 'False NotSupported', Accepted: 'False NotSupported', Progressing: 'False NotSupported' },
  ],
  'no listener offers TLS': [
    { relay: storedRelay({ listeners: [{ name: 'smtp', port: 25, tls: 'Disabled' }] }), certificate: undefined },
    { CertificateReady: 'True CertificateNotNeeded' },
  ],
  'pods run an older revision': [
    { appliedRevision: 'r1' },
    { Ready: 'Unknown ConfigurationPending', Programmed: 'Unknown ConfigurationPending' },
  ],
  'no configuration could be made': [
    { configurationRevision: undefined },
    { Ready: 'False ConfigurationRejected', Programmed: 'False ConfigurationRejected' },
  ],
  'the configuration does not fit': [
    { configurationRevision: undefined, cluster: { tooLarge: 'spread them over several MailRelays' } },
    { Ready: 'False ConfigurationTooLarge', Programmed: 'False ConfigurationTooLarge' },
  ],
  'one of two pods is being replaced': [
    { workload: { readyReplicas: 1, updatedReplicas: 1 } },
    { Progressing: 'True RollingOut' },
  ],
  'no pod is ready': [
    { workload: { readyReplicas: 0 } },
    { Ready: 'False PodsUnavailable', Progressing: 'True RollingOut' },
  ],
  'no pod is ready, and one knows why': [
    { workload: { readyReplicas: 0, pods: [pod('a', { ready: false, storeTroubles: ['NotAMaster'] })] } },
    { Ready: 'False QueueStoreTrouble', Progressing: 'True RollingOut' },
  ],
  'one of two pods knows a trouble of its queue': [
    { workload: { readyReplicas: 1, pods: [pod('a', { ready: false, storeTroubles: ['NotAMaster'] })] } },
    { Progressing: 'True RollingOut' },
  ],
  'the workload’s status is about an older spec': [
    { workload: { isCurrent: false } },
    { Progressing: 'True RollingOut' },
  ],
  'volumes may not grow': [
    { workload: { refusedClaims: ['queue-outbound-relay-1', 'queue-outbound-relay-0'] } },
    { Progressing: 'False VolumeExpansionRefused' },
  ],
  'a pod is on its way out': [
    { workload: { replicas: 3, readyReplicas: 3, updatedReplicas: 3, wanted: 3, scale: leaving } },
    { Draining: 'True Draining' },
  ],
  'the time for draining is over': [
    { workload: { replicas: 3, isDrainOver: true, pods: [full] } },
    { Draining: 'False DrainTimedOut', Progressing: 'True RollingOut' },
  ],
  'a relay is parked': [
    {
      relay: storedRelay({ replicas: 0 }),
      // No pod says what it runs.
      appliedRevision: undefined,
      workload: { replicas: 0, readyReplicas: 0, updatedReplicas: 0, wanted: 0, scale: { replicas: 0, leaving: [] } },
    },
    { Ready: 'True Parked' },
  ],
  'a relay is being deleted': [
    { relay: storedRelay({}, deleted), workload: { scale: { replicas: 0, leaving: [] } } },
    { Ready: 'False Terminating' },
  ],
  'a relay is being deleted, and its pods are not there': [
    { relay: storedRelay({}, deleted) },
    { Ready: 'False Terminating', Draining: 'True Draining' },
  ],
  'a relay is paused': [{ relay: storedRelay({ reconciliation: 'Paused' }) }, { Paused: 'True Paused' }],
};

describe('the status of a relay in a cluster, when', () => {
  for (const [name, [changes, expected]] of Object.entries(cases)) {
    it(name, () => {
      const status = mailRelayStatus(observed(changes));
      assert.deepEqual(conditionsIn(status), { ...good, ...expected });
      assert.deepEqual(validateNode(statusSchema, 'status', status).faults, []);
      for (const { reason } of status.conditions ?? []) assert.ok(Object.hasOwn(reasons, reason), reason);
    });
  }

  it('has every type, unknown, before anything was looked at', () => {
    const { conditions = [] } = firstStatus({ nowMs, generation: 1 });
    assert.deepEqual(
      conditions.map(({ type }) => type),
      Object.keys(good),
    );
    assert.ok(conditions.every(({ status, reason }) => status === 'Unknown' && reason === 'Pending'));
  });

  it('is the same to the byte while nothing but time goes on, and while queues fill and empty', () => {
    const first = mailRelayStatus(observed({ workload: { scale: leaving, pods: [full] } }));
    const emptier = { ...full, report: { revision: 'r2', queuedRecipients: 0 } };
    const later = mailRelayStatus(
      observed({
        workload: { scale: leaving, pods: [emptier] },
        previous: first,
        stamp: { nowMs: nowMs + 500, generation: 3 },
        certificate: { notAfterMs: nowMs + 1000, ownPem: undefined },
      }),
    );
    assert.equal(JSON.stringify(later.conditions), JSON.stringify(first.conditions));
  });

  it('tells the scale subresource how many pods there are and how to find them', () => {
    const { replicas, readyReplicas, selector } = mailRelayStatus(observed());
    assert.deepEqual([replicas, readyReplicas], [2, 2]);
    assert.equal(
      selector,
      'app.kubernetes.io/name=postroad,app.kubernetes.io/component=relay,app.kubernetes.io/instance=outbound',
    );
  });
});

describe('the revision that is applied', () => {
  const runs = (name: string, revision: string | undefined, ready = true) =>
    pod(name, { ready, report: revision === undefined ? undefined : { revision, queuedRecipients: 0 } });

  it('is the one that every ready pod runs', () => {
    assert.equal(appliedRevisionOf([runs('a', 'r1'), runs('b', 'r1')]), 'r1');
    assert.equal(appliedRevisionOf([runs('a', 'r1'), runs('b', undefined, false)]), 'r1');
    assert.equal(appliedRevisionOf([runs('a', 'r1'), runs('b', 'r2')]), undefined);
    assert.equal(appliedRevisionOf([runs('a', 'r1'), runs('b', undefined)]), undefined);
    assert.equal(appliedRevisionOf([{ ...runs('a', 'r1'), terminating: true }]), undefined);
    assert.equal(appliedRevisionOf([]), undefined);
  });

  it('is asked of pods whose answer would be new, and of those that drain', () => {
    const pods = [runs('a', 'r1'), runs('b', 'r2'), runs('c', undefined), runs('d', undefined, false), runs('e', 'r2')];
    assert.deepEqual(podsToAsk({ pods, isShared: false }, 'r2', ['e']), ['a', 'c', 'e']);
    const shared = podsToAsk({ pods, isShared: true }, 'r2', ['e']);
    assert.deepEqual(shared, ['a', 'c', 'd', 'e'], 'one that is not ready may know why');
  });
});

describe('draining', () => {
  const draining = (reason: string, status = 'True') =>
    ({
      conditions: [{ type: 'Draining', status, reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }],
    }) as MailRelayStatus;
  const hourMs = 3_600_000;

  it('ends an hour after it began, unless told otherwise', () => {
    const relay = storedRelay();
    assert.equal(drainDeadlineMs(relay, undefined), undefined);
    assert.equal(drainDeadlineMs(relay, draining('Draining')), nowMs + hourMs);
    assert.equal(isDrainOver(relay, draining('Draining'), nowMs + hourMs - 1), false);
    assert.equal(isDrainOver(relay, draining('Draining'), nowMs + hourMs), true);
    assert.equal(isDrainOver(relay, draining('NotDraining', 'False'), nowMs + 10 * hourMs), false);
    assert.equal(isDrainOver(relay, draining('DrainTimedOut', 'False'), nowMs), true, 'given up stays given up');
  });

  it('of a relay that is deleted has its own time', () => {
    const relay = storedRelay({ shutdown: { drainTimeoutSeconds: 60 } }, { deletionTimestamp: '2026-01-01T02:00:00Z' });
    assert.equal(isDrainOver(relay, draining('Draining'), nowMs + 2 * hourMs + 59_999), false);
    assert.equal(isDrainOver(relay, draining('Draining'), nowMs + 2 * hourMs + 60_000), true);
  });

  it('can be skipped', () => {
    assert.equal(
      isDrainOver(storedRelay({}, { annotations: { 'postroad.dev/skip-drain': 'true' } }), undefined, nowMs),
      true,
    );
    assert.equal(
      isDrainOver(storedRelay({}, { annotations: { 'postroad.dev/skip-drain': 'no' } }), undefined, nowMs),
      false,
    );
    assert.equal(isDrainOver(storedRelay({ shutdown: { drainTimeoutSeconds: 0 } }), undefined, nowMs), true);
  });
});
