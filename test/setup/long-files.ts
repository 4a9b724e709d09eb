/** The test files that take more than a few seconds, for the order in which all run; `npm test` prints both figures of each file. */
import { machineCores, type Needs } from './schedule.ts';

export const longFiles: Needs = {
  'test/apiserver/api-server-faults.test.ts': { seconds: 80, cores: 0.4 },
  'test/audit/audit.test.ts': { seconds: 48, cores: machineCores },
  'test/redis/audit-controls.test.ts': { seconds: 95, cores: machineCores },
  'test/redis/audit.test.ts': { seconds: 60, cores: machineCores },
};
