// Package server puts a node together: the member of the cluster, the APIs on
// it and the ports they listen on. It is wiring; every decision that is not
// about how parts fit belongs to a part.
//
// Open refuses a configuration that would open the cluster to a network without
// saying so. Run serves until its context ends and then stops gracefully:
// requests under way finish, the lead goes to another member, the data is
// flushed.
package server
