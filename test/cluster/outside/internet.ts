/** The Internet of a journey: name servers that CoreDNS and the operator ask, and mail hosts that take what relays deliver. */

import { Resolver } from 'node:dns/promises';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type AuthoritativeDns, startAuthoritativeDns } from '../../support/authoritative-dns.ts';
import { type PostfixPeer, type Settings, startPostfix } from '../../support/postfix.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { outsideDnsAddress } from '../node/layout.ts';

export interface Internet extends AsyncDisposable {
  readonly dns: AuthoritativeDns;
  /** A zone with its name server; lines of a zone file, names relative to the zone. */
  serve(zone: string, lines: readonly string[]): Promise<void>;
  /** The text records of a name, as anybody sees them; none where there is no such name. */
  texts(name: string): Promise<readonly string[]>;
  /** A folder of that name, empty, which ends with the Internet. */
  folder(name: string): Promise<string>;
  /** A mail host (Postfix) on port 25 of an address of layout.ts's outsideRanges. Ends with the Internet. */
  mailHost(address: string, settings?: Settings): Promise<PostfixPeer>;
}

export async function startInternet(): Promise<Internet> {
  const folder = await temporaryFolder();
  const parts = new AsyncDisposableStack();
  parts.use(folder);
  const inFolder = async (name: string): Promise<string> => {
    const path = join(folder.path, name);
    await mkdir(path);
    return path;
  };
  const dns = parts.use(await startAuthoritativeDns(await inFolder('dns'), outsideDnsAddress));
  const resolver = new Resolver();
  resolver.setServers([outsideDnsAddress]);
  return {
    dns,
    folder: inFolder,
    serve: (zone, lines) => dns.setZone(zone, ['@ NS ns1', `ns1 A ${outsideDnsAddress}`, ...lines]),
    async texts(name) {
      try {
        return (await resolver.resolveTxt(name)).map(strings => strings.join(''));
      } catch (error) {
        if (error instanceof Error && 'code' in error && (error.code === 'ENOTFOUND' || error.code === 'ENODATA'))
          return [];
        throw error;
      }
    },
    async mailHost(address, settings = {}) {
      const path = await inFolder(`mail-${address}`);
      return parts.use(await startPostfix(path, { role: 'outside', address, settings }));
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
