/** What a relay that shares its queue in Redis warns of: the server would not keep what is acknowledged. */
import type { Cause } from './alert-watch.ts';
import type { World } from './world.ts';

/** The relay on Redis. */
export const sharing = 'sharing';

export function forgetfulRedis(world: World): Cause {
  return {
    name: 'a Redis whose append-only file was switched off',
    fires: [`PostroadQueueStoreTrouble of ${sharing}`],
    begin: () => world.redis.set('appendonly', 'no'),
    mend: () => world.redis.set('appendonly', 'yes'),
  };
}
