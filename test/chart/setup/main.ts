/** Builds what the tests here need, where it is not built yet. */
import { setUpChartPrograms } from './programs.ts';

const programs = await setUpChartPrograms(line => console.log(line));
for (const program of Object.values(programs)) console.log(program);
