/**
 * What stays as it was where something is lacking: a policy's part, or the whole of a configuration. Not its signatures: a key that has lost its
 * record, was replaced or belongs to nobody any more stops, whatever else must wait.
 */
import type { RelayConfigInput } from '../../../relay/config.ts';
import type { PolicyParts } from '../../cluster/relay-states.ts';
import { baseDomain, baseDomains } from '../../domainpolicy/base-domains.ts';
import type { PolicyInput } from './config.ts';
import { fileNamesOf, partsOf, readConfig, revisionOf, textOf } from './config-text.ts';
import type { Files } from './files.ts';
import type { AttachedPolicy, Existing, RelayInput } from './input.ts';

interface Carried {
  readonly policies: readonly PolicyInput[];
  readonly files: Files;
}

/** A policy that lacks something now keeps what it had, unless its files are gone or its domains are another's by now. */
export function carriedPolicies(
  attached: readonly AttachedPolicy[],
  rendered: readonly { readonly domains: readonly string[] }[],
  { configText, fileShards }: Existing,
): Carried {
  const incomplete = new Set(attached.filter(({ complete }) => !complete).map(({ policy }) => keyOf(policy)));
  const before = incomplete.size === 0 ? [] : (readConfig(configText)?.policies ?? []);
  const taken = new Set(rendered.flatMap(({ domains }) => domains));
  const available = new Map(fileShards.flatMap(shard => [...shard]));
  const policies = before.filter(
    policy =>
      incomplete.has(`${policy.namespace}/${policy.name}`) &&
      policy.domains.every(domain => !taken.has(domain)) &&
      fileNamesOf(policy).every(name => available.has(name)),
  );
  const names = policies.flatMap(fileNamesOf);
  const now = new Map(attached.map(one => [keyOf(one.policy), one]));
  const carried = policies.map(policy => lessSigning(policy, now.get(`${policy.namespace}/${policy.name}`), silent));
  return { policies: carried, files: new Map(names.map(name => [name, available.get(name) ?? Buffer.alloc(0)])) };
}

type Key = NonNullable<PolicyInput['dkim']>[number];

/** Of what signed before, what may sign still. Unchanged (the same object) where that is all. */
function lessSigning(before: PolicyInput, now: AttachedPolicy | undefined, ended: (key: Key) => Key[]): PolicyInput {
  // Keys of a Secret that is missing or broken are not known to have been taken away.
  const isUnknown = now?.areKeysBroken || (now?.complete === false && now.policy.spec.dkim.type === 'SecretRef');
  if (isUnknown || before.dkim === undefined) return before;
  const domains = [...new Set(before.domains.map(baseDomain))];
  const dkim = before.dkim.flatMap(key => {
    const signed = key.signsFor ?? domains;
    const signsFor = signed.filter(domain => allowedDomains(key, now).includes(domain));
    if (signsFor.length === signed.length) return [key];
    return signsFor.length === 0 ? ended(key) : [{ ...key, signsFor }];
  });
  const isSame = dkim.length === before.dkim.length && dkim.every((key, index) => key === before.dkim?.[index]);
  return isSame ? before : { ...before, dkim };
}

function allowedDomains({ selector }: Key, now: AttachedPolicy | undefined): readonly string[] {
  const still = now?.keys.find(key => key.selector === selector);
  return now === undefined || still === undefined ? [] : (still.signsFor ?? baseDomains(now.policy));
}

/** It stays loaded, to sign again at once. */
function silent(key: Key): Key[] {
  return [{ ...key, signsFor: [] }];
}

/** It cannot sign again before the rest can change: that must not look as if it could. */
function dropped(): Key[] {
  return [];
}

export interface KeptConfiguration {
  readonly revision: string;
  /** `relay.json`. */
  readonly text: string;
  readonly parts: PolicyParts;
  /** It differs from what is there: some key signs less. */
  readonly isReduced: boolean;
}

/** Beyond what may be made: a list of domains may be longer than none. Still what a ConfigMap holds. */
const mostKeptBytes = 1_040_000;

/** Of the configuration that is there, what may go on; undefined: there is none, or somebody has broken it. */
export function keptConfiguration(input: RelayInput): KeptConfiguration | undefined {
  const { configText } = input.existing;
  const before = readConfig(configText);
  if (configText === undefined || before === undefined) return undefined;
  const now = new Map(input.policies.map(one => [keyOf(one.policy), one]));
  const { revision, policies = [], ...rest } = before;
  const fewer = policies.map(policy => lessSigning(policy, now.get(`${policy.namespace}/${policy.name}`), dropped));
  const changed = fewer.filter((policy, index) => policy !== policies[index]);
  if (changed.length === 0) return { revision, text: configText, parts: partsOf(policies, input), isReduced: false };
  const unsigned = fewer.map(policy => (changed.includes(policy) ? { ...policy, dkim: [] } : policy));
  return reduced({ ...rest, policies: fewer }, input) ?? reduced({ ...rest, policies: unsigned }, input);
}

function reduced(config: Omit<RelayConfigInput, 'revision'>, input: RelayInput): KeptConfiguration | undefined {
  const revision = revisionOf(config, input.material.revisionKey);
  const text = textOf({ revision, ...config }, mostKeptBytes);
  if (text === undefined) return undefined;
  return { revision, text, parts: partsOf(config.policies ?? [], input), isReduced: true };
}

function keyOf({ metadata: { namespace, name } }: AttachedPolicy['policy']): string {
  return `${namespace}/${name}`;
}
