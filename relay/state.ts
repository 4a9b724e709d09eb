/**
 * What the relay runs by: configuration, the secrets it names, and the policies indexed. Immutable; a reload swaps the whole of it
 * or, when anything in the new one is wrong, nothing (G5). Rooms read it through `state()` at each use, which is how a reload reaches them.
 */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError, parseConfig, type RelayConfig } from './config.ts';
import { createPolicySnapshot, type PolicySnapshot } from './policy/snapshot.ts';
import { loadSecrets, type Secrets } from './secrets.ts';

export interface RelayState {
  readonly config: RelayConfig;
  readonly secrets: Secrets;
  readonly policies: PolicySnapshot;
}

export interface LoadedState extends RelayState {
  /** Of the configuration file. */
  readonly text: string;
}

/**
 * `before` is what an earlier call gave: a configuration of the same text is not checked anew, which with thousands of policies
 * holds up everything else for a while. @throws ConfigError with all faults, or Error naming the file that could not be read.
 */
export async function loadState(configFile: string, before?: LoadedState): Promise<LoadedState> {
  const text = await readFile(configFile, 'utf8');
  const { config, policies } = before?.text === text ? before : parseState(text, configFile);
  return { text, config, secrets: await loadSecrets(config), policies };
}

function parseState(text: string, configFile: string): Pick<RelayState, 'config' | 'policies'> {
  const config = parseConfig(parseJson(text, configFile));
  return { config, policies: createPolicySnapshot(config) };
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
  const folders = [...files.map(dirname), ...secrets.credentials.keys()];
  if (config.clients.usersDir !== undefined) folders.push(config.clients.usersDir);
  return [...new Set(folders)].sort();
}
