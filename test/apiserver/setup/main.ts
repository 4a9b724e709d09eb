/** Builds and fetches what the tests here need, where it is not there yet. */
import { setUpForeignCrds } from './foreign-crds.ts';
import { setUpApiServerPrograms } from './programs.ts';

const say = (line: string): void => console.log(line);
const programs = await setUpApiServerPrograms(say);
await setUpForeignCrds(say);
for (const program of Object.values(programs)) console.log(program);
