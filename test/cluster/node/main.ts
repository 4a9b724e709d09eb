/**
 * `node main.ts FOLDER NAMESPACES ARCHIVE...`, in namespaces of its own: boots a cluster of one node and stays until it is killed, and with it
 * the whole cluster. Says what it does line by line; the last line of the start is `ready`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { mustRun } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { nodePrograms } from '../setup/programs.ts';
import { applyAddons } from './addons.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { controlUrl, nodeName, runPaths } from './layout.ts';
import { makeMachine, refuseNamespaces } from './machine.ts';
import { type Node, startNode } from './node.ts';

const [folder = '', outer = '', ...archives] = process.argv.slice(2);
const readyLimitMs = 120_000;
const started = performance.now();
const say = (line: string): void => console.log(`${((performance.now() - started) / 1000).toFixed(1)} s: ${line}`);

await refuseNamespaces(outer.split(',').filter(each => each !== ''));
const paths = runPaths(folder);
const programs = await nodePrograms();
await makeMachine(paths);
say('network and files are made');
const controlPlane = startControlPlane(programs, paths);
const [plane, node] = await Promise.all([
  controlPlane.then(async all => {
    say('the API server answers');
    await applyAddons(programs.kubectl, all.server.kubeconfigFile, paths);
    return all;
  }),
  startNode({ programs, paths, controlPlane }, archives),
]);
say('the daemons of the node run');
await whenReady(plane, node);
await listen(node);
console.log(`ready ${plane.server.kubeconfigFile}`);

async function whenReady({ server }: ControlPlane, running: Node): Promise<void> {
  const kubectl = async (...args: string[]): Promise<string> =>
    await mustRun(programs.kubectl, ['--kubeconfig', server.kubeconfigFile, ...args], { timeoutMs: readyLimitMs });
  await waitUntil(
    'the node to be known',
    async () => {
      await running.check();
      return (await kubectl('get', 'nodes', '-o', 'name')).includes(nodeName);
    },
    { limitMs: readyLimitMs, everyMs: 200 },
  );
  await kubectl('wait', 'node', nodeName, '--for=condition=Ready', '--timeout=60s');
  say('the node is Ready');
  await kubectl('-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=60s');
  await kubectl('-n', 'local-path-storage', 'rollout', 'status', 'deployment/local-path-provisioner', '--timeout=60s');
  say('CoreDNS and the volume provisioner run');
}

async function listen(running: Node): Promise<void> {
  const actions: Readonly<Record<string, (body: string) => Promise<void>>> = {
    '/reboot': () => running.reboot(),
    '/import': body => running.importImages(JSON.parse(body) as string[]),
    '/check': () => running.check(),
  };
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const action = actions[request.url ?? ''];
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    try {
      if (action === undefined) throw new Error(`no such action: ${request.url}`);
      await action(body);
      response.end('done');
    } catch (error) {
      response.statusCode = 500;
      response.end(error instanceof Error ? error.stack : String(error));
    }
  }
  const server = createServer((request, response) => void answer(request, response));
  const { hostname, port } = new URL(controlUrl);
  server.listen(Number(port), hostname);
  await new Promise(resolve => server.once('listening', resolve));
}
