/** What is not there, or is gone meanwhile. */

/** Whether the file system said that there is no such entry. */
export const isAbsent = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** To be passed to `catch`: undefined for what is absent. @throws every other error */
export function ignoreAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
  return undefined;
}
