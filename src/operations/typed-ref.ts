import { FormatError, UsageError } from '../errors.ts';
import { validateRefName } from '../formats/ostree/refs.ts';

/**
 * For a ref that a user typed: a bad one is wrong usage, not bad data.
 * @param field what it is, for the message
 * @throws UsageError
 */
export function checkTypedRef(name: string, field: string): void {
  try {
    validateRefName(name, { field });
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(error.message, {}, { cause: error });
  }
}
