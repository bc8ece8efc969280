// Package depot keeps finished files, such as backups, in a place of the
// operator's choice: a folder, or a bucket of any S3-compatible store.
//
// What is guaranteed: a file that is listed is whole; one that could not be
// written to its end leaves nothing that is listed; keys are in no error and no
// log line. What is never done: to make a bucket or a folder, to look into a
// file, to read or delete what is not asked for by its name. Space that a broken
// off upload holds in a bucket is given back by the bucket's own rules (abort
// incomplete multipart uploads), if the process dies before it can do so itself.
package depot
