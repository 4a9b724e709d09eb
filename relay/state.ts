/**
 * What the relay runs by: configuration, the secrets it names, and the policies indexed. Immutable; a reload swaps the whole of it
 * or, when anything in the new one is wrong, nothing (G5). Rooms read it through `state()` at each use, which is how a reload reaches them.
 */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError, parseConfig, type RelayConfig } from './config.ts';
import { createPolicySnapshot, type PolicySnapshot } from './policy/snapshot.ts';
import { type KnownKeys, loadSecrets, type Secrets } from './secrets.ts';

export interface RelayState {
  readonly config: RelayConfig;
  readonly secrets: Secrets;
  readonly policies: PolicySnapshot;
}

/**
 * What reads it, again and again; one call at a time. What stayed the same is not parsed anew: with thousands of policies that
 * holds up everything else for a while. The function throws ConfigError with all faults, or Error naming the file that could not
 * be read.
 */
export function createStateLoader(configFile: string): () => Promise<RelayState> {
  let known: (Omit<RelayState, 'secrets'> & { readonly text: string }) | undefined;
  const keys: KnownKeys = new Map();
  return async () => {
    const text = await readFile(configFile, 'utf8');
    if (known?.text !== text) {
      const config = parseConfig(parseJson(text, configFile));
      known = { text, config, policies: createPolicySnapshot(config) };
    }
    const { config, policies } = known;
    return { config, secrets: await loadSecrets(config, keys), policies };
  };
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigError([`${file}: must be JSON (${cause instanceof Error ? cause.message : String(cause)})`]);
  }
}

/** The folders whose change may change the state: a mounted ConfigMap or Secret changes by a rename within its folder. */
export function watchedFolders(configFile: string, { config, secrets }: RelayState): string[] {
  const files = [
    configFile,
    ...(config.tls === undefined ? [] : [config.tls.certificateFile, config.tls.privateKeyFile]),
    ...secrets.dkimKeys.keys(),
    ...secrets.trustAnchors.keys(),
  ];
  const folders = [...files.map(dirname), ...secrets.credentials.keys(), ...secrets.redisCredentials.keys()];
  if (config.clients.usersDir !== undefined) folders.push(config.clients.usersDir);
  return [...new Set(folders)].sort();
}
