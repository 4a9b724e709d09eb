/** RelayConfig and the files it names, from what was observed; or why there is none. */
import type { PolicyParts } from '../../cluster/relay-states.ts';
import type { SecretData } from '../../credentials.ts';
import { carriedPolicies, type KeptConfiguration, keptConfiguration } from './carried.ts';
import { offersTls, type PolicyInput, policyConfigsOf, relayConfigOf, type SecretFiles } from './config.ts';
import { fileNamesOf, mostConfigBytes, partsOf, revisionOf, textOf } from './config-text.ts';
import { collectFiles, type FileCollector, type Files, mostShards, placeFiles, shardBytes } from './files.ts';
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
  | { readonly kind: 'Blocked'; readonly kept: KeptConfiguration | undefined }
  | { readonly kind: 'TooLarge'; readonly message: string; readonly kept: KeptConfiguration | undefined }
);

/** What pods should run: what was made, else what is there. */
export function configurationToRun(
  configuration: Configuration,
): Pick<KeptConfiguration, 'revision' | 'text' | 'parts'> | undefined {
  return configuration.kind === 'Made' ? configuration : configuration.kept;
}

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
  return { ...tooLarge, kept: keptConfiguration(input) };
}

type Attempt =
  | Exclude<Configuration, { kind: 'TooLarge' }>
  | (Omit<Extract<Configuration, { kind: 'TooLarge' }>, 'kept'> & { readonly sizes: readonly Sized<AttachedPolicy>[] });

function tryConfiguration(input: RelayInput, httpPort: number): Attempt {
  const { relay, certificate, existing, material } = input;
  const collector = collectFiles(material.revisionKey);
  const policies = input.policies.filter(({ complete }) => complete);
  if (input.blocked || (offersTls(relay) && certificate === undefined))
    return { kind: 'Blocked', parts: blockedParts(input, policies, collector), kept: keptConfiguration(input) };
  const rendered = relayConfigOf({
    relay,
    policies,
    namespaces: input.namespaces,
    files: secretFiles(input, collector),
    bind: { address: anyAddress, httpAddress: anyAddress, httpPort },
  });
  const carried = carriedPolicies(input.policies, rendered.policies ?? [], existing);
  const config = { ...rendered, policies: [...(rendered.policies ?? []), ...carried.policies].sort(byName) };
  const revision = revisionOf(config, material.revisionKey);
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

function keyOf({ metadata: { namespace, name } }: AttachedPolicy['policy']): string {
  return `${namespace}/${name}`;
}

function byName(one: { namespace: string; name: string }, other: { namespace: string; name: string }): number {
  const [left, right] = [`${one.namespace}/${one.name}`, `${other.namespace}/${other.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
