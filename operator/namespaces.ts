/** Which namespaces a choice of Same, All or Selector means. */
import type { LabelSelector, NamespaceChoice } from '../crds/common.ts';

/** Labels by namespace. */
export type Namespaces = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** `*` is every namespace, also one that comes later. */
export function chosenNamespaces(choice: NamespaceChoice, own: string, namespaces: Namespaces): string[] {
  switch (choice.from) {
    case 'Same':
      return [own];
    case 'All':
      return ['*'];
    case 'Selector': {
      const { selector = {} } = choice;
      return [...namespaces]
        .filter(([, labels]) => matches(selector, labels))
        .map(([name]) => name)
        .sort();
    }
  }
}

export function choosesNamespace(
  choice: NamespaceChoice,
  own: string,
  namespaces: Namespaces,
): (name: string) => boolean {
  const chosen = new Set(chosenNamespaces(choice, own, namespaces));
  return name => chosen.has('*') || chosen.has(name);
}

/** As Kubernetes reads a selector: all requirements hold; NotIn and DoesNotExist hold for a missing label. */
function matches(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const equal = Object.entries(matchLabels).every(([key, value]) => labelOf(labels, key) === value);
  return equal && matchExpressions.every(requirement => meets(requirement, labels));
}

type Requirement = NonNullable<LabelSelector['matchExpressions']>[number];

function meets({ key, operator, values = [] }: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
