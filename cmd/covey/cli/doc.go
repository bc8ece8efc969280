// Package cli is the command line of Covey: it turns arguments, the
// environment and a file into calls of the packages that do the work, and
// their results and errors into output and exit codes.
//
// Data goes to stdout, messages go to stderr. The exit codes are 0 done,
// 1 failed, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 unavailable
// (the same call may succeed later), 7 rate limited, 8 partly done,
// 130 interrupted. A change whose outcome is unknown is 1, not 6: a script must
// look before it repeats an increment.
//
// It never takes a secret as an argument, where other users of the machine
// could read it: secrets come from files or the environment.
package cli
