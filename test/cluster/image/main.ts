/** Builds the images and says where they are: `node test/cluster/image/main.ts`. */
import { buildPeerImages } from './peers.ts';
import { buildProductImage } from './product.ts';

const say = (line: string): void => console.log(line);
const product = await buildProductImage(say);
const peers = await buildPeerImages(say);
for (const { archive, name } of [product, ...Object.values(peers)]) console.log(`${name}\n${archive}`);
