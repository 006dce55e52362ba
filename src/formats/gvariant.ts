/** GVariant: the serialisation of all ostree metadata. Format, limits and what we refuse: doc/formats/gvariant.md. */

export { isNormalForm, MAX_VALUES, type ParseOptions, parseVariant } from './gvariant-parse.ts';
export { serializeVariant } from './gvariant-serialize.ts';
export { type GvType, MAX_NESTING, MAX_TYPE_CHARACTERS, parseType } from './gvariant-type.ts';
export { type Endian, type GvValue, type GvVariant, lookUp, type VariantDictionary } from './gvariant-value.ts';
