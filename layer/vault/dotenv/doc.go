// Package dotenv reads and writes .env files.
//
// Scan reads what people's files hold: a byte order mark, CRLF, export
// prefixes, quotes of three kinds that span lines, comments. A line that cannot
// be read is reported with its number and what is wrong with it, never with its
// value, and costs no other line. Nothing is interpolated and nothing trimmed
// inside quotes: $, # and \ in a secret stay.
//
// Append writes one variable in one of three styles. What the styles Default
// and Shell write, Scan reads back to the byte, for every value that is UTF-8
// without NUL; so do POSIX shells for Shell.
//
// The package is pure. Its time and memory are linear in its input, which the
// caller bounds.
package dotenv
