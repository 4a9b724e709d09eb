/** An image of those that the relay talks to, on the node of a journey. */
import type { Cluster } from '../cluster.ts';
import { hasArchive } from './archive.ts';
import { type Peer, peerArchive } from './peers.ts';

/** Its name. A user's cluster must have it: POSTROAD_TEST_CLIENTS_IMAGE, …_OUTSIDE_IMAGE or …_REDIS_IMAGE says by which name. */
export async function loadPeer({ node }: Cluster, peer: Peer): Promise<string> {
  const variable = `POSTROAD_TEST_${peer.toUpperCase()}_IMAGE`;
  const given = process.env[variable];
  if (given !== undefined) return given;
  if (node === undefined) throw new Error(`the image must be in the cluster, and ${variable} its name`);
  const image = await peerArchive(peer);
  if (!(await hasArchive(image))) throw new Error(`${image.archive} is not built: node test/cluster/image/main.ts`);
  await node.importImages([image.archive]);
  return image.name;
}
