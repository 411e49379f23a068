// What parsing a piece of text comes to, where the text is a person's.

/** The value, or why the text is none: the end of the sentence "Cannot use "tcp/0": …". */
export type Parsed<T> = { readonly value: T } | { readonly reason: string };
