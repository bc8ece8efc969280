// Package media keeps the media files of the databases of layer/collection: in
// chunks, with a row that says what they are, and small pictures made of large
// ones.
//
// An Upload stores the chunks of its files one by one, each in a transaction of
// its own, while they come in, and shows nothing of them; its last transaction
// writes the rows of all its files at once. So a file is there whole or not at
// all, whatever breaks in between. What an upload has begun is marked in the
// store; a Sweeper deletes what is left of one that never ended.
//
// Guarantees: a file never changes once it has a row; a chunk is only ever
// stored for an upload whose marker is there, so that no chunk is left behind
// that nobody knows of; of two things that happen to an upload, its end and its
// removal, exactly one does; a Reader returns the bytes that were uploaded or an
// error, and holds one chunk.
//
// The package never judges who may upload, read or delete, which the door of
// layer/collection does, and never trusts a name or a type that a client gave.
package media
