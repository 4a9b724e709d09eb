/** The command line of standalone. */
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface Options {
  readonly manifests: string;
  readonly dataDir: string;
  /** Where the listeners of the relay listen. */
  readonly bindAddress: string;
  readonly http: { readonly address: string; readonly port: number };
}

export const usage = `usage: npm start -- [--manifests DIR] [--data-dir DIR] [--bind ADDRESS] [--http HOST:PORT]
  --manifests DIR    folder with MailRelay, DomainPolicy and Secret objects as YAML (examples/quickstart)
  --data-dir DIR     queue, keys, captured mail, status of each object (.postroad)
  --bind ADDRESS     IP address of the SMTP listeners; 0.0.0.0 or :: for all (127.0.0.1)
  --http HOST:PORT   probes, metrics, captured mail (127.0.0.1:8080)`;

/** @throws Error with a line for people. */
export function parseOptions(args: readonly string[], projectRoot: string): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      manifests: { type: 'string', default: join(projectRoot, 'examples', 'quickstart') },
      'data-dir': { type: 'string', default: '.postroad' },
      bind: { type: 'string', default: '127.0.0.1' },
      http: { type: 'string', default: '127.0.0.1:8080' },
    },
  });
  if (isIP(values.bind) === 0) throw new Error(`--bind must be an IP address, not ${values.bind}`);
  return {
    manifests: resolve(values.manifests),
    dataDir: resolve(values['data-dir']),
    bindAddress: values.bind,
    http: parseHostPort(values.http),
  };
}

function parseHostPort(text: string): Options['http'] {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const address = host === 'localhost' ? '127.0.0.1' : host;
  const port = Number(digits);
  if (address === undefined || isIP(address) === 0 || port > 65_535)
    throw new Error(`--http must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080, not ${text}`);
  return { address, port };
}
