/** A relay's configuration as text: how it is written, read back, and told apart. */
import { createHmac } from 'node:crypto';
import { ConfigError, parseConfig, type RelayConfigInput } from '../../../relay/config.ts';
import type { PolicyParts, SigningKey } from '../../cluster/relay-states.ts';
import { nameOf } from '../../domainpolicy/attach.ts';
import type { PolicyInput } from './config.ts';
import { filesFolder } from './files.ts';
import type { RelayInput } from './input.ts';

/** A ConfigMap holds 1 MiB. */
export const mostConfigBytes = 1_000_000;

export function revisionOf(config: Omit<RelayConfigInput, 'revision'>, revisionKey: string): string {
  return createHmac('sha256', revisionKey).update(stableJson(config)).digest('hex').slice(0, 16);
}

/** Keyed as file names are: what a policy refers to is in its part by the digest of its content. */
export function partsOf(policies: readonly PolicyInput[], input: RelayInput): PolicyParts {
  const { revisionKey } = input.material;
  const generations = new Map(input.policies.map(({ policy }) => [nameOf(policy), policy.metadata.generation]));
  return new Map(
    policies.map(policy => {
      const { namespace, name, dkim = [] } = policy;
      const digest = createHmac('sha256', revisionKey).update(stableJson(policy)).digest('hex').slice(0, 16);
      const loaded = dkim.map(({ selector }) => selector);
      const signing = dkim.filter(({ signsFor }) => signsFor?.length !== 0).map(signingKey);
      const key = `${namespace}/${name}`;
      return [key, { digest, generation: generations.get(key), loaded, signing }] as const;
    }),
  );
}

function signingKey({ selector, signsFor }: NonNullable<PolicyInput['dkim']>[number]): SigningKey {
  return { selector, ...(signsFor !== undefined && { signsFor }) };
}

export function fileNamesOf({ dkim = [], route }: PolicyInput): string[] {
  const smartHost = route?.type === 'SmartHost' ? route.smartHost : undefined;
  return [...dkim.map(({ privateKeyFile }) => privateKeyFile), smartHost?.credentialsDir, smartHost?.caFile]
    .filter(path => path !== undefined)
    .map(path => path.slice(filesFolder.length + 1));
}

/** As it was written: with defaults filled in it would be another text. A ConfigMap that somebody has broken is as good as none. */
export function readConfig(text: string | undefined): RelayConfigInput | undefined {
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

/** Undefined: it is longer than `mostBytes`. */
export function textOf(config: RelayConfigInput, mostBytes: number = mostConfigBytes): string | undefined {
  const sorted: unknown = JSON.parse(stableJson(config));
  const readable = `${JSON.stringify(sorted, null, 1)}\n`;
  const text = Buffer.byteLength(readable) <= mostBytes ? readable : JSON.stringify(sorted);
  return Buffer.byteLength(text) <= mostBytes ? text : undefined;
}

/** The order of fields is chance, too: the API server and a manifest differ in it. */
function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}
