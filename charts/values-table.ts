/** The table of values in the chart's README, from the sentences in values.yaml. */
import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml';

export interface ChartValue {
  /** Such as `crds.keep`. */
  readonly path: string;
  readonly standard: unknown;
  readonly sentence: string;
}

/** A value has its sentence after `# --`; what has none is a group of others. */
export function chartValues(text: string): readonly ChartValue[] {
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new Error('values.yaml holds no map');
  return valuesBelow(contents, []);
}

function valuesBelow(map: YAMLMap, above: readonly string[]): ChartValue[] {
  return map.items.flatMap(({ key, value }, index) => {
    if (!isScalar(key)) throw new Error(`values.yaml: a key below ${above.join('.')} is no name`);
    const path = [...above, String(key.value)];
    // Of the first key of a map the comment before it is the map's.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined) ?? '';
    const sentence = /^ ?-- (?<sentence>.*)$/m.exec(comment)?.groups?.['sentence'];
    if (sentence !== undefined) {
      const standard = value === null || value === undefined ? null : (value as { toJSON(): unknown }).toJSON();
      return [{ path: path.join('.'), standard, sentence }];
    }
    if (!isMap(value)) throw new Error(`values.yaml: ${path.join('.')} has no sentence`);
    return valuesBelow(value, path);
  });
}

const [begin, end] = ['<!-- values: made by `npm run generate` -->', '<!-- end of values -->'];

export function withValuesTable(readme: string, values: readonly ChartValue[]): string {
  const [before, rest] = readme.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`README.md has no place for its values: ${begin}`);
  const rows = values.map(
    ({ path, standard, sentence }) =>
      `| \`${path}\` | \`${JSON.stringify(standard)}\` | ${sentence.replaceAll('|', '\\|')} |`,
  );
  return `${before}${begin}\n| value | unless given | what it does |\n| --- | --- | --- |\n${rows.join('\n')}\n${end}${after}`;
}
