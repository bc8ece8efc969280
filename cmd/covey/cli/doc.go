// Package cli is the command line of Covey: it turns arguments, the
// environment and a file into calls of the packages that do the work, and
// their results and errors into output and exit codes.
//
// Data goes to stdout, messages go to stderr. The exit codes are 0 done,
// 1 failed, 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 unavailable
// (the same call may succeed later), 7 rate limited, 8 partly done, 9 an audit
// log that is not what was recorded, 130 interrupted. A change whose outcome is
// unknown is 1, not 6: a script must look before it repeats an increment. What
// keynest run runs has its own, and 126 and 127 where it cannot be run.
//
// Secrets come from files, standard input or the environment, never from
// arguments, where other users of the machine could read them. There are two
// exceptions, for other programs' sake: KOT's own command line, which has the
// password as an argument that is moved to the environment before anything else
// is done, and keynest config set-token, which warns.
package cli
