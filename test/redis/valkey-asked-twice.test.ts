import { findValkey } from '../setup/valkey.ts';
import { testAskedTwice } from '../shared-queue/asked-twice.ts';

const valkey = await findValkey();
testAskedTwice({
  ...{ name: 'Valkey', program: valkey ?? '' },
  skip: valkey === undefined ? 'needs valkey-server: npm run test:redis fetches it' : false,
});
