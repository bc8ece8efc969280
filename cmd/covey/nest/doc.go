// Package nest does the work of KeyNest's command line that is no call of the
// API: where a user's token lives, what a name means, what is in the environment
// of a command, and the sealed copy of it for when no server answers.
//
// A token is read only from a file that nobody but its owner can read. Values are
// only ever in memory and in the environment of the command that they are for, or
// in a copy that does not open without the token. The package never prints, never
// logs, and no error holds a value or a token.
package nest
