/** How this machine's npm reaches its registry, for an npm inside a build. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../apiserver/setup/exists.ts';
import { mustRun } from '../../support/processes.ts';

/** Settings of the network alone: folders and habits are this machine's own. */
const wanted =
  /^\s*(?:(?:@[^:=]+:)?registry|\/\/[^=]+|cafile|ca(?:\[\])?|proxy|https-proxy|noproxy|strict-ssl|_auth\w*)\s*=/;

export interface NpmConfig {
  readonly file: string;
  /** The authorities' file that it names, which the build must see at the same place. */
  readonly authorities: string | undefined;
}

/** Writes it into a folder that is deleted after the build: it may hold a token. */
export async function npmConfigIn(folder: string): Promise<NpmConfig> {
  const files = (await Promise.all(['globalconfig', 'userconfig'].map(settingOf))).filter(path => path !== undefined);
  const texts = await Promise.all(files.map(async path => ((await exists(path)) ? await readFile(path, 'utf8') : '')));
  const lines = texts.flatMap(text => text.split('\n')).filter(line => wanted.test(line));
  const fromEnvironment = ['registry', 'cafile', 'proxy', 'https-proxy', 'noproxy'].flatMap(name => {
    const value =
      process.env[`npm_config_${name.replaceAll('-', '_')}`] ??
      process.env[`NPM_CONFIG_${name.replaceAll('-', '_').toUpperCase()}`];
    return value === undefined || value === '' ? [] : [`${name}=${value}`];
  });
  const authorities = (await settingOf('cafile')) ?? process.env['NODE_EXTRA_CA_CERTS'];
  const last = authorities === undefined ? [] : [`cafile=${authorities}`];
  const file = join(folder, 'npmrc');
  await writeFile(file, [...lines, ...fromEnvironment, ...last, 'update-notifier=false', ''].join('\n'), {
    mode: 0o600,
  });
  return { file, authorities };
}

async function settingOf(name: string): Promise<string | undefined> {
  const value = (await mustRun('npm', ['config', 'get', name], { cwd: '/' })).trim();
  return value === '' || value === 'null' || value === 'undefined' ? undefined : value;
}
