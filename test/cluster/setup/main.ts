/** Builds what a cluster here needs, where it is not built yet. */
import { setUpSystemImages } from './images.ts';
import { setUpNodePrograms } from './programs.ts';

const say = (line: string): void => console.log(line);
await setUpNodePrograms(say);
for (const archive of await setUpSystemImages(say)) say(archive);
