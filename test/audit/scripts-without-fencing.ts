import { createHash } from 'node:crypto';
import { readScripts, type Scripts } from '../../relay/queue/redis/scripts.ts';

const fence = 'if not lease or lease.i ~= asked.id then return -1 end';
const noFence = `
if not lease then
  local text = redis.call('HGET', message_key(asked.id), 'r')
  if not text then
    for _, outcome in ipairs(asked.outcomes) do
      if outcome[2] == 'Delivered' then count('delivered', 1) end
    end
    return 0
  end
  local indices = {}
  for _, outcome in ipairs(asked.outcomes) do indices[#indices + 1] = outcome[1] end
  local record = cjson.decode(text)
  lease = { i = asked.id, s = slot_of(record.t, record.R[indices[1] + 1][3]), x = indices, d = now }
end`;

/** Controls: a settlement is done whether or not its lease has ended. @throws Error when the scripts have changed under it */
export function scriptsWithoutFencing(clock?: string): Scripts {
  const scripts = readScripts(clock);
  const { text } = scripts.settle;
  if (!text.includes(fence)) throw new Error('settle.lua has its fence elsewhere');
  const doctored = text.replace(fence, noFence);
  return { ...scripts, settle: { text: doctored, sha: createHash('sha1').update(doctored).digest('hex') } };
}
