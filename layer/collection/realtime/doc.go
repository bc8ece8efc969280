// Package realtime tells the callers of RestDB what happens in a database while
// it happens: documents that are created, changed and deleted, and messages that
// are published.
//
// A Stream follows the feed of its node from a place in the order of all
// changes. That order is the same on all nodes, and each Event has its place in
// it: whoever goes on behind the last Event it has seen, on whichever node,
// misses none and gets none twice. When that place is no longer kept an Event
// named reset says so.
//
// What a Stream may tell is judged at the door (package collection), and judged
// again, before anything else is told, when a change touches what that was
// decided by: the key, the user's document, the collections and their roles. A
// caller who is refused then gets no further Event.
//
// It knows no HTTP, writes nothing, and holds of what is to come no more than
// its place in the feed does.
package realtime
