/**
 * Which policies a configuration holds when it cannot hold all. A relay that many namespaces share must not be stopped by one of them: what is
 * too much is left out where most is taken up, and everybody else gets what he asks for. Pure.
 */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';

export interface Sized<T> {
  readonly attached: T;
  /** Part of what a configuration may hold that this one takes up. */
  readonly share: number;
}

interface Pile<T> {
  /** What goes first is last. */
  readonly policies: Sized<T>[];
  total: number;
}

/** Of the namespace that has most, the largest goes first, and of equals the youngest. In the order of the input. */
export function fitting<T extends { readonly policy: DomainPolicy }>(all: readonly Sized<T>[], budget: number): T[] {
  const piles = new Map<string, Pile<T>>();
  for (const sized of all.toSorted(byShareAndAge)) {
    const { namespace } = sized.attached.policy.metadata;
    const pile = piles.get(namespace) ?? { policies: [], total: 0 };
    piles.set(namespace, pile);
    pile.policies.push(sized);
    pile.total += sized.share;
  }
  const left = new Set(all);
  let total = all.reduce((sum, { share }) => sum + share, 0);
  while (total > budget) {
    const pile = [...piles.values()].reduce((most, one) => (one.total > most.total ? one : most));
    const gone = pile.policies.pop();
    if (gone === undefined) break;
    pile.total = pile.policies.length === 0 ? 0 : pile.total - gone.share;
    total -= gone.share;
    left.delete(gone);
  }
  return [...left].map(({ attached }) => attached);
}

function byShareAndAge<T extends { readonly policy: DomainPolicy }>(one: Sized<T>, other: Sized<T>): number {
  if (one.share !== other.share) return one.share - other.share;
  return ageOf(one) < ageOf(other) ? -1 : 1;
}

function ageOf({ attached: { policy } }: Sized<{ readonly policy: DomainPolicy }>): string {
  const { creationTimestamp = '', namespace, name } = policy.metadata;
  return `${creationTimestamp} ${namespace}/${name}`;
}
