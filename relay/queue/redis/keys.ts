/**
 * Keys of one partition, all under one hash tag, so that a script can change them together also in a Cluster.
 *
 *   <prefix>{tag}:meta            counters, totals, version; there from the first opening on
 *   <prefix>{tag}:m:<id>          a message: record, head and content, what is to be said of its recipients
 *   <prefix>{tag}:b:<id>          content over the inline limit, in pieces
 *   <prefix>{tag}:u:<upload>      such a content before its message is stored; goes by itself
 *   <prefix>{tag}:ids             all ids, in order
 *   <prefix>{tag}:q:<slot>        due times of a slot's Waiting recipients      due, wake, tenants, line:<tenant>: whose turn it is
 *   <prefix>{tag}:leases          lease by token      l:<owner>: its tokens by expiry      owners: until when they live
 *   <prefix>{tag}:taken:<owner>   when leases were taken from it; for a day
 *   <prefix>{tag}:gone:<id>       it came and went; for a minute, against a question that arrives twice
 *   <prefix>{tag}:suspended:<owner>   until when it wants none, by destination
 *   <prefix>{tag}:lane:<lane>     a next hop: who has how many of its connections, and until when it rests; goes by itself
 *   <prefix>{tag}:absent          never there
 *
 * A script names only `meta` and `absent`, and finds the rest by what it reads. A Cluster that moves a slot from one server to another has for
 * a while some of its keys here and some there, and would run such a script on half of them. It refuses commands whose named keys are not all in
 * one place, and one that is never there is never in the same place: TRYAGAIN, until the slot has arrived whole.
 */
import { slotOf, tagOf } from '../../redis/slot.ts';

export interface Partition {
  readonly number: number;
  /** Beginning of its keys. */
  readonly base: string;
  readonly slot: number;
  /** What each script names. */
  readonly keys: readonly [meta: string, absent: string];
}

export function partitionOf(prefix: string, number: number, count: number): Partition {
  const base = `${prefix}{${tagOf(number, count)}}:`;
  return { number, base, slot: slotOf(base), keys: [`${base}meta`, `${base}absent`] };
}

export const uploadKey = ({ base }: Partition, upload: string): string => `${base}u:${upload}`;
export const bodyKey = ({ base }: Partition, id: string): string => `${base}b:${id}`;

/** The same for every relay of the queue, and even over the partitions. */
export function homeOf(id: string, count: number): number {
  return count === 1 ? 0 : slotOf(id) % count;
}
