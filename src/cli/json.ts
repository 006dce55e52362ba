/** JSON on stdout. Fields come in the order that doc/json.md gives, and only those. */

/** Names of fields in their order. */
export type Fields<T> = ReadonlyArray<keyof T & string>;

/** The fields of `value` that are there, in the given order. */
export function pickFields<T extends object>(value: T, fields: Fields<T>): Partial<T> {
  const picked: Partial<T> = {};
  for (const field of fields) if (value[field] !== undefined) picked[field] = value[field];
  return picked;
}

export const jsonDocument = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
export const jsonLine = (value: unknown): string => `${JSON.stringify(value)}\n`;

/** A JSON array, one element for each line, made as the elements come. */
export async function* jsonArray(items: AsyncIterable<unknown> | Iterable<unknown>): AsyncGenerator<string> {
  let before = '[\n';
  for await (const item of items) {
    yield before + JSON.stringify(item);
    before = ',\n';
  }
  yield before === '[\n' ? '[]\n' : '\n]\n';
}
