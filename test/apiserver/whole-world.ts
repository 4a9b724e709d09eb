/** Around relays in a test of the whole: real API server and controller manager, a zone at two servers under a root, pods that run, the operator. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { namespaces } from '../../operator/cluster/kinds.ts';
import { controllers } from '../../operator/controllers.ts';
import { startOperator } from '../../operator/operator.ts';
import { parseOptions } from '../../operator/options.ts';
import { createLog } from '../../relay/log.ts';
import { startAuthoritativeDns } from '../support/authoritative-dns.ts';
import { JumpingClock } from '../support/jumping-clock.ts';
import { type NodeStandIn, startNodeStandIn } from '../support/node-stand-in.ts';
import { type ApiWorld, startWorld } from './api-world.ts';
import { installOwnCrds } from './install-crds.ts';
import { type ServedZone, serveZone } from './served-zone.ts';

export interface WholeWorld {
  /** Of the operator, for the test to move. */
  readonly clock: JumpingClock;
  readonly zone: ServedZone;
  /** With a namespace `shop`. */
  readonly api: ApiWorld;
  readonly node: NodeStandIn;
}

export interface WholeWorldOptions {
  readonly domain: string;
  /** What is started is ended with it. */
  readonly parts: AsyncDisposableStack;
  readonly folder: string;
}

export async function startWholeWorld({ domain, parts, folder }: WholeWorldOptions): Promise<WholeWorld> {
  const clock = new JumpingClock();
  const dns = async (name: string) => {
    await mkdir(join(folder, name));
    return parts.use(await startAuthoritativeDns(join(folder, name)));
  };
  const [root, one, two] = [await dns('root'), await dns('one'), await dns('two')];
  const zone = await serveZone({ zone: domain, root, servers: [one, two], now: () => clock.now() });
  const api = parts.use(await startWorld({ controllerManager: true }));
  await installOwnCrds(api);
  await api.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  const node = parts.use(await startNodeStandIn({ server: api.server, mode: 'runs' }));
  const flags = ['--image=postroad:test', '--http=127.0.0.1:0', '--leader-election=Disabled'];
  const options = parseOptions([...flags, `--nameservers=${root.address}:53`, '--dns-targets=Any'], 'mail');
  const log = createLog(process.env['POSTROAD_TEST_LOG'] ?? 'silent');
  const operator = await startOperator(options, {
    ...{ connection: api.server.admin, factories: controllers, clock, random: Math.random, log },
    ...{ identity: 'one', version: 'test' },
  });
  parts.defer(async () => {
    operator.stop();
    await operator.done;
  });
  return { clock, zone, api, node };
}
