/** Builds the images and says where they are: `node test/cluster/image/main.ts`. */
import { buildProductImage } from './product.ts';

const { archive, name } = await buildProductImage(line => console.log(line));
console.log(`${name}\n${archive}`);
