/** Boots a cluster that no run will join, says how far it is, and stays: for a test that kills it. */
import { setUpSystemImages } from '../setup/images.ts';
import { bootCluster } from './boot.ts';

const say = (line: string): void => console.log(line);
const booted = await bootCluster({ archives: await setUpSystemImages(say), image: undefined, say });
say('up');
await booted.ended;
