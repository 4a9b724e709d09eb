/** What should be: the configuration, the files it names, and the status of each object. Pure functions of what was observed. */
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import type { DomainPolicy, DomainPolicyStatus } from '../../crds/domain-policy.ts';
import { podPort } from '../../crds/listener.ts';
import type { MailRelayStatus } from '../../crds/mail-relay.ts';
import type { PostroadObject } from '../../crds/validate-object.ts';
import type { RelayConfigInput } from '../../relay/config.ts';
import type { Stamp } from '../conditions.ts';
import { policyNeeds, relayNeeds, type SecretNeed } from '../credentials.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { baseDomains } from '../domainpolicy/base-domains.ts';
import { type DnsRecord, desiredRecords } from '../domainpolicy/dns-record.ts';
import { domainPolicyStatus, type Programme } from '../domainpolicy/status.ts';
import { notAfterMs } from '../mailrelay/certificate.ts';
import { type Bind, type ObservedPolicy, relayConfigOf, type SecretFiles } from '../mailrelay/desired/config.ts';
import { mailRelayStatus } from '../mailrelay/status.ts';
import type { Observed, PolicyState } from './observe.ts';

export interface Plan {
  readonly observed: Observed;
  /** Why the relay cannot run so; it then has no configuration. */
  readonly blocked: readonly string[];
  /** What a policy lacks; it is left out of the configuration. */
  readonly incomplete: readonly string[];
  readonly configuration: Configuration | undefined;
}

export interface Configuration {
  readonly config: RelayConfigInput;
  /** Content by path below the configuration's own folder. */
  readonly files: ReadonlyMap<string, Buffer>;
}

export interface PlanInput {
  readonly observed: Observed;
  readonly bind: Bind;
  /** Configurations get a folder each below it, named by their revision. */
  readonly configDir: string;
  readonly revisionKey: string;
}

export function planOf({ observed, bind, configDir, revisionKey }: PlanInput): Plan {
  const blocked = [
    ...(observed.notSupported === undefined ? [] : [observed.notSupported]),
    ...observed.secretProblems.map(({ message }) => message),
  ].map(message => `MailRelay ${nameOf(observed.relay)}: ${message}`);
  const incomplete = observed.policies.flatMap(({ policy, secretProblems }) =>
    secretProblems.map(({ message }) => `DomainPolicy ${nameOf(policy)}: ${message}`),
  );
  if (blocked.length > 0) return { observed, blocked, incomplete, configuration: undefined };
  const files = filesOf(observed);
  const render = (folder: string): Omit<RelayConfigInput, 'revision'> =>
    relayConfigOf({ ...observed, policies: runningPolicies(observed), bind, files: pathsBelow(folder) });
  const revision = revisionOf(render('/'), files, revisionKey);
  return {
    observed,
    blocked,
    incomplete,
    configuration: { config: { revision, ...render(join(configDir, revision)) }, files },
  };
}

export function isRunning({ admission, secretProblems }: PolicyState): boolean {
  return admission.status === 'True' && secretProblems.length === 0;
}

function runningPolicies({ policies }: Observed): ObservedPolicy[] {
  return policies.filter(isRunning);
}

/** A namespace holds no underscore, nor does a policy's name, so that no two keys share a file. */
function dkimKeyPath({ metadata: { namespace, name } }: DomainPolicy, selector: string): string {
  return join('dkim', `${namespace}_${name}_${selector}`);
}

function pathsBelow(folder: string): SecretFiles {
  return {
    certificateFile: join(folder, 'tls', 'tls.crt'),
    privateKeyFile: join(folder, 'tls', 'tls.key'),
    usersDir: join(folder, 'users'),
    dkimKeyFile: (policy, selector) => join(folder, dkimKeyPath(policy, selector)),
    credentialsDir: (namespace, secret) => join(folder, 'credentials', namespace, secret),
    caFile: (namespace, secret) => join(folder, 'authorities', namespace, secret, 'ca.crt'),
  };
}

function filesOf(observed: Observed): ReadonlyMap<string, Buffer> {
  const { relay, certificate, secrets } = observed;
  const running = observed.policies.filter(isRunning);
  const needs = [...relayNeeds(relay), ...running.flatMap(({ policy }) => policyNeeds(policy))];
  const pair: [string, Buffer][] =
    certificate === undefined
      ? []
      : [
          [join('tls', 'tls.crt'), Buffer.from(certificate.certificate)],
          [join('tls', 'tls.key'), Buffer.from(certificate.privateKey)],
        ];
  return new Map([
    ...pair,
    ...needs.flatMap(needed => secretFiles(needed, secrets)),
    ...running.flatMap(({ policy, keys }) =>
      keys.map(key => [dkimKeyPath(policy, key.selector), Buffer.from(key.privateKeyPem)] as const),
    ),
  ]);
}

function secretFiles({ use, namespace, name }: SecretNeed, secrets: Observed['secrets']): [string, Buffer][] {
  const data = secrets.get(`${namespace}/${name}`) ?? new Map<string, Buffer>();
  const take = (folder: string, keys: readonly string[]): [string, Buffer][] =>
    keys.map(key => [join(folder, key), data.get(key) ?? Buffer.alloc(0)]);
  switch (use) {
    case 'users':
      return take('users', [...data.keys()]);
    case 'credentials':
      return take(join('credentials', namespace, name), ['username', 'password']);
    case 'authorities':
      return take(join('authorities', namespace, name), ['ca.crt']);
    case 'certificate':
    case 'dkim':
    // A queue in Redis needs a cluster.
    case 'redis':
      return [];
  }
}

/** Covers the secrets too, so that a new password is a new revision; keyed, so that nobody can try passwords against it. */
function revisionOf(config: unknown, files: ReadonlyMap<string, Buffer>, key: string): string {
  const hash = createHmac('sha256', key).update(JSON.stringify(config));
  for (const [path, content] of [...files].sort(([one], [other]) => (one < other ? -1 : 1)))
    hash.update(`\0${path}\0${content.length}\0`).update(content);
  return hash.digest('hex').slice(0, 16);
}

export function recordsOf({ relay }: Observed, { policy, keys }: PolicyState): DnsRecord[] {
  return desiredRecords({ policy, keys, hostname: relay.spec.hostname, route: relay.spec.route });
}

export interface StatusInput {
  readonly plan: Plan;
  readonly bind: Bind;
  readonly appliedRevision: string | undefined;
  readonly previous: (object: PostroadObject) => unknown;
  readonly nowMs: number;
}

/** Status by object; a policy that another relay takes is not here. */
export function statusesOf(input: StatusInput): Map<PostroadObject, MailRelayStatus | DomainPolicyStatus> {
  const { relay } = input.plan.observed;
  const policies = input.plan.observed.policies.map(
    state => [state.policy, policyStatusOf(state, input)] as [PostroadObject, DomainPolicyStatus],
  );
  return new Map<PostroadObject, MailRelayStatus | DomainPolicyStatus>([[relay, relayStatusOf(input)], ...policies]);
}

function relayStatusOf({ plan, bind, appliedRevision, previous, nowMs }: StatusInput): MailRelayStatus {
  const { relay, notSupported, secretProblems, certificate, authority, policies } = plan.observed;
  const ownPem = authority === undefined ? undefined : certificate?.certificate;
  return mailRelayStatus({
    relay,
    notSupported,
    secretProblems,
    certificate: certificate && { notAfterMs: notAfterMs(certificate.certificate), ownPem },
    listeners: relay.spec.listeners.map(listener => ({
      name: listener.name,
      address: bind.address,
      port: podPort(listener),
    })),
    address: bind.address,
    attachedPolicies: policies.filter(isRunning).length,
    configurationRevision: plan.configuration?.config.revision,
    appliedRevision,
    previous: previous(relay) as MailRelayStatus | undefined,
    stamp: stampOf(relay, nowMs),
  });
}

function policyStatusOf(state: PolicyState, input: StatusInput): DomainPolicyStatus {
  const { plan, appliedRevision, previous, nowMs } = input;
  const { policy, admission, secretProblems, keys } = state;
  return domainPolicyStatus({
    policy,
    admission,
    secretProblems,
    // Without look-ups nobody would ever say that a key may sign, so that it signs at once.
    keys: keys.map(({ selector, algorithm }) => ({
      ...{ selector, algorithm, state: 'Active' as const },
      signsFor: baseDomains(policy),
    })),
    records: recordsOf(plan.observed, state).map(record => ({ ...record, state: 'Unknown', fault: undefined })),
    isChecking: false,
    isLookedAt: false,
    publishProblem: undefined,
    programme: programmeOf(isRunning(state) ? plan.configuration?.config.revision : undefined, appliedRevision),
    previous: previous(policy) as DomainPolicyStatus | undefined,
    stamp: stampOf(policy, nowMs),
  });
}

function programmeOf(revision: string | undefined, appliedRevision: string | undefined): Programme {
  if (revision === undefined) return 'Rejected';
  return revision === appliedRevision ? 'Applied' : 'Pending';
}

function stampOf({ metadata: { generation } }: PostroadObject, nowMs: number): Stamp {
  return { nowMs, generation };
}
