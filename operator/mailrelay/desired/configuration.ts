/** RelayConfig and the files it names, from what was observed; or why there is none. */
import { createHmac } from 'node:crypto';
import { ConfigError, parseConfig, type RelayConfigInput } from '../../../relay/config.ts';
import type { PolicyParts } from '../../cluster/relay-states.ts';
import type { SecretData } from '../../credentials.ts';
import { nameOf } from '../../domainpolicy/attach.ts';
import { baseDomain, baseDomains } from '../../domainpolicy/base-domains.ts';
import { offersTls, type PolicyInput, policyConfigsOf, relayConfigOf, type SecretFiles } from './config.ts';
import {
  collectFiles,
  type FileCollector,
  type Files,
  filesFolder,
  mostShards,
  placeFiles,
  shardBytes,
} from './files.ts';
import { fitting, type Sized } from './fit.ts';
import type { AttachedPolicy, Existing, RelayInput } from './input.ts';

export type Configuration = {
  /** Each attached policy's part of what should run, whether the whole can or not: a change of one is none of another. */
  readonly parts: PolicyParts;
} & (
  | {
      readonly kind: 'Made';
      readonly revision: string;
      /** `relay.json`. */
      readonly text: string;
      readonly shards: readonly Files[];
      /** Policies that it does not hold, by `namespace/name`: all together were too much. */
      readonly leftOut: readonly string[];
    }
  /** Something that other conditions tell: what is there stays. */
  | { readonly kind: 'Blocked' }
  | { readonly kind: 'TooLarge'; readonly message: string }
);

/** A ConfigMap holds 1 MiB. */
const mostConfigBytes = 1_000_000;
const anyAddress = '::';

/** Parts of what fits, tried one after the other: files are spread over Secrets, which leaves gaps. */
const budgets = [0.95, 0.8, 0.6, 0.4, 0.2] as const;

export function configurationOf(input: RelayInput, httpPort: number): Configuration {
  const whole = tryConfiguration(input, httpPort);
  if (whole.kind !== 'TooLarge') return whole;
  for (const budget of budgets) {
    const policies = fitting(whole.sizes, budget);
    const some = tryConfiguration({ ...input, policies }, httpPort);
    if (some.kind !== 'Made') continue;
    const held = new Set<string>(policies.map(({ policy }) => keyOf(policy)));
    const leftOut = input.policies.map(({ policy }): string => keyOf(policy)).filter(key => !held.has(key));
    return { ...some, leftOut: leftOut.sort() };
  }
  const { sizes: _, ...tooLarge } = whole;
  return tooLarge;
}

type Attempt =
  | Exclude<Configuration, { kind: 'TooLarge' }>
  | (Extract<Configuration, { kind: 'TooLarge' }> & { readonly sizes: readonly Sized<AttachedPolicy>[] });

function tryConfiguration(input: RelayInput, httpPort: number): Attempt {
  const { relay, certificate, existing, material } = input;
  const collector = collectFiles(material.revisionKey);
  const policies = input.policies.filter(({ complete }) => complete);
  if (input.blocked || (offersTls(relay) && certificate === undefined))
    return { kind: 'Blocked', parts: blockedParts(input, policies, collector) };
  const rendered = relayConfigOf({
    relay,
    policies,
    namespaces: input.namespaces,
    files: secretFiles(input, collector),
    bind: { address: anyAddress, httpAddress: anyAddress, httpPort },
  });
  const carried = carriedPolicies(input.policies, rendered.policies ?? [], existing);
  const config = { ...rendered, policies: [...(rendered.policies ?? []), ...carried.policies].sort(byName) };
  const canonical = stableJson(config);
  const revision = createHmac('sha256', material.revisionKey).update(canonical).digest('hex').slice(0, 16);
  const parts = partsOf(config.policies, input);
  const text = textOf({ revision, ...config });
  const wanted = new Map([...collector.files, ...carried.files]);
  const shards = placeFiles({ wanted, existing: existing.fileShards, keepOld: !allRun(existing, revision) });
  if (text === undefined || shards === undefined)
    return {
      kind: 'TooLarge',
      message: `the configuration of ${config.policies.length} policies does not fit: spread them over several MailRelays`,
      parts,
      sizes: sizesOf(input.policies, config.policies, wanted),
    };
  return { kind: 'Made', revision, text, shards, parts, leftOut: [] };
}

/** By whichever of the two is scarcer, text or files. */
function sizesOf(
  attached: readonly AttachedPolicy[],
  configs: readonly PolicyInput[],
  files: Files,
): Sized<AttachedPolicy>[] {
  const shares = new Map<string, number>(
    configs.map(config => {
      const names = fileNamesOf(config);
      const bytes = names.reduce((sum, name) => sum + (files.get(name)?.length ?? 0), 0);
      const isTooLarge = names.some(name => (files.get(name)?.length ?? 0) > shardBytes);
      const share = Math.max(
        Buffer.byteLength(JSON.stringify(config)) / mostConfigBytes,
        bytes / (mostShards * shardBytes),
      );
      return [`${config.namespace}/${config.name}`, isTooLarge ? 1 + share : share] as const;
    }),
  );
  return attached.map(one => ({ attached: one, share: shares.get(keyOf(one.policy)) ?? 0 }));
}

/** What policies would have: one that was not changed still counts as running. */
function blockedParts(input: RelayInput, policies: readonly AttachedPolicy[], collector: FileCollector): PolicyParts {
  const { namespaces } = input;
  const files = policyFiles(input, collector);
  return partsOf(policyConfigsOf({ policies, namespaces, files }), input);
}

/** Keyed as file names are: what a policy refers to is in its part by the digest of its content. */
function partsOf(policies: readonly PolicyInput[], input: RelayInput): PolicyParts {
  const { revisionKey } = input.material;
  const generations = new Map(input.policies.map(({ policy }) => [nameOf(policy), policy.metadata.generation]));
  return new Map(
    policies.map(policy => {
      const { namespace, name, dkim = [] } = policy;
      const digest = createHmac('sha256', revisionKey).update(stableJson(policy)).digest('hex').slice(0, 16);
      const loaded = dkim.map(({ selector }) => selector);
      const signing = dkim.filter(({ signsFor }) => signsFor?.length !== 0).map(({ selector }) => selector);
      const key = `${namespace}/${name}`;
      return [key, { digest, generation: generations.get(key), loaded, signing }] as const;
    }),
  );
}

/** Pods that are going away have nothing more to report. */
export function allRun({ pods }: Pick<Existing, 'pods'>, revision: string): boolean {
  return pods.filter(({ terminating }) => !terminating).every(({ report }) => report?.revision === revision);
}

function secretFiles(input: RelayInput, collector: FileCollector): SecretFiles {
  const { certificate, secrets, relay } = input;
  const { put } = collector;
  return {
    ...policyFiles(input, collector),
    certificateFile: certificate === undefined ? '' : put('tls', 'crt', Buffer.from(certificate.certificate)),
    privateKeyFile: certificate === undefined ? '' : put('tls', 'key', Buffer.from(certificate.privateKey)),
    usersDir: usersFile(secrets, relay, put),
  };
}

/** Those that policies use. */
function policyFiles({ secrets, policies }: RelayInput, { put }: FileCollector): SecretFiles {
  const keys = new Map(
    policies.flatMap(({ policy, keys: loaded }) =>
      loaded.map(({ selector, privateKeyPem }) => [`${keyOf(policy)} ${selector}`, privateKeyPem]),
    ),
  );
  const bytesIn = (namespace: string, name: string, key: string): Buffer =>
    found(secretIn(secrets, namespace, name).get(key), `${namespace}/${name} ${key}`);
  return {
    certificateFile: '',
    privateKeyFile: '',
    usersDir: '',
    dkimKeyFile: (policy, selector) =>
      put('dkim', 'pem', Buffer.from(found(keys.get(`${keyOf(policy)} ${selector}`), `DKIM key ${selector}`))),
    credentialsDir: (namespace, name) =>
      put('credentials', 'json', entriesOf(secretIn(secrets, namespace, name), ['username', 'password'])),
    caFile: (namespace, name) => put('ca', 'crt', bytesIn(namespace, name, 'ca.crt')),
  };
}

function usersFile(secrets: RelayInput['secrets'], relay: RelayInput['relay'], put: FileCollector['put']): string {
  const { usersSecretRef } = relay.spec.clients;
  if (usersSecretRef === undefined) return '';
  const data = secretIn(secrets, relay.metadata.namespace, usersSecretRef.name);
  return put('users', 'json', entriesOf(data, [...data.keys()]));
}

function secretIn(secrets: RelayInput['secrets'], namespace: string, name: string): SecretData {
  return found(secrets.get(`${namespace}/${name}`), `Secret ${namespace}/${name}`);
}

/** One file instead of a folder: a folder cannot be swapped together with the configuration that names it. */
function entriesOf(data: SecretData, keys: readonly string[]): Buffer {
  const entries = keys.toSorted().map(key => [key, data.get(key)?.toString('utf8') ?? '']);
  return Buffer.from(JSON.stringify(Object.fromEntries(entries)));
}

/** @throws Error: who observed promised that it is there. */
function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} is used by the configuration and was not observed`);
  return value;
}

interface Carried {
  readonly policies: readonly PolicyInput[];
  readonly files: Files;
}

/** A policy that lacks something now keeps what it had, unless its files are gone or its domains are another's by now. */
function carriedPolicies(
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
  const carried = policies.map(policy => withoutLost(policy, now.get(`${policy.namespace}/${policy.name}`)));
  return { policies: carried, files: new Map(names.map(name => [name, available.get(name) ?? Buffer.alloc(0)])) };
}

/** That a Secret is missing is no reason to sign on by a record that is gone. */
function withoutLost(before: PolicyInput, now: AttachedPolicy | undefined): PolicyInput {
  if (now === undefined || now.policy.spec.dkim.type !== 'Managed' || before.dkim === undefined) return before;
  const domains = [...new Set(before.domains.map(baseDomain))];
  const dkim = before.dkim.map(key => {
    const still = now.keys.find(({ selector }) => selector === key.selector);
    const allowed = still === undefined ? [] : (still.signsFor ?? baseDomains(now.policy));
    const signsFor = (key.signsFor ?? domains).filter(domain => allowed.includes(domain));
    return signsFor.length < (key.signsFor ?? domains).length ? { ...key, signsFor } : key;
  });
  return { ...before, dkim };
}

function fileNamesOf({ dkim = [], route }: PolicyInput): string[] {
  const smartHost = route?.type === 'SmartHost' ? route.smartHost : undefined;
  return [...dkim.map(({ privateKeyFile }) => privateKeyFile), smartHost?.credentialsDir, smartHost?.caFile]
    .filter(path => path !== undefined)
    .map(path => path.slice(filesFolder.length + 1));
}

/** As it was written: with defaults filled in it would be another text. A ConfigMap that somebody has broken is as good as none. */
function readConfig(text: string | undefined): RelayConfigInput | undefined {
  if (text === undefined) return undefined;
  try {
    const written: unknown = JSON.parse(text);
    parseConfig(written);
    return written as RelayConfigInput;
  } catch (error) {
    if (error instanceof ConfigError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function textOf(config: RelayConfigInput): string | undefined {
  const sorted: unknown = JSON.parse(stableJson(config));
  const readable = `${JSON.stringify(sorted, null, 1)}\n`;
  const text = Buffer.byteLength(readable) <= mostConfigBytes ? readable : JSON.stringify(sorted);
  return Buffer.byteLength(text) <= mostConfigBytes ? text : undefined;
}

/** The order of fields is chance, too: the API server and a manifest differ in it. */
function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}

function keyOf({ metadata: { namespace, name } }: AttachedPolicy['policy']): string {
  return `${namespace}/${name}`;
}

function byName(one: { namespace: string; name: string }, other: { namespace: string; name: string }): number {
  const [left, right] = [`${one.namespace}/${one.name}`, `${other.namespace}/${other.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
