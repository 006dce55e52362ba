/** Text from strangers (paths, subjects, messages) on a terminal. */

// C0 and C1 controls, DEL, line separators, and the marks that reorder what follows.
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\\]/g;
const SHORT: Record<string, string> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\\': '\\\\' };

/** One line without control characters; a backslash is doubled so that escapes are unambiguous. */
export const shownText = (text: string): string => text.replace(UNSAFE, escapeCharacter);

/** As shownText, but line ends stay and a backslash is just a backslash: for text of several lines. */
export const shownLines = (text: string): string =>
  text.replace(UNSAFE, (character) =>
    character === '\n' || character === '\\' ? character : escapeCharacter(character),
  );

const escapeCharacter = (character: string): string =>
  SHORT[character] ?? `\\u{${character.charCodeAt(0).toString(16)}}`;
